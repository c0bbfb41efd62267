"""The reader of ``.sql`` files."""

import re
from importlib import resources
from pathlib import Path

import pytest

from ttsorch.store._sql import migrations, named_blocks, numbered, queries


def test_named_blocks_are_found_by_name() -> None:
    """Each block runs to the next name; what stands before the first name belongs to none."""
    text = "-- about\n\n-- name: one\nSELECT 1;\n\n-- name: two\n-- why\nSELECT\n  2;\n"
    assert named_blocks(text) == {"one": "SELECT 1;", "two": "-- why\nSELECT\n  2;"}


def test_a_name_can_be_used_once() -> None:
    """A second block of the same name would silently hide the first."""
    with pytest.raises(ValueError, match="'one' is defined twice"):
        named_blocks("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;\n")


@pytest.mark.parametrize("body", ["", "\n", "-- only a comment\n"])
def test_a_block_has_a_statement(body: str) -> None:
    """A name without a statement is a mistake in the file."""
    with pytest.raises(ValueError, match="'one' is empty"):
        named_blocks(f"-- name: one\n{body}")


def test_every_block_is_one_statement() -> None:
    """SQLite runs one statement at a time; each block ends with its only semicolon."""
    for block in queries("sqlite.sql").values():
        code = "\n".join(line for line in block.splitlines() if not line.startswith("--"))
        assert code.endswith(";")
        assert code.count(";") == 1


def test_a_block_is_inserted_into_later_ones() -> None:
    """What several statements share is written once; its comments don't come along."""
    text = "-- name: columns\n-- all\na, b\n-- name: all\nSELECT {{columns}} FROM t;\n"
    assert named_blocks(text)["all"] == "SELECT a, b FROM t;"
    with pytest.raises(ValueError, match="no SQL block 'columns' stands before"):
        named_blocks("-- name: all\nSELECT {{columns}};\n-- name: columns\na\n")


def test_parameters_are_numbered_in_the_order_of_their_first_use() -> None:
    """A name that is used twice keeps its number."""
    text, names = numbered("SELECT %(a)s, %(b)s::int WHERE %(a)s = 'x'")
    assert (text, names) == ("SELECT $1, $2::int WHERE $1 = 'x'", ["a", "b"])


def test_every_postgres_block_is_one_statement_or_a_part_of_one() -> None:
    """Only what is inserted elsewhere ends without a semicolon; and no statement asks for all columns."""
    text = resources.files("ttsorch.store").joinpath("postgres.sql").read_text("utf-8")
    for name, block in queries("postgres.sql").items():
        code = "\n".join(line for line in block.splitlines() if not line.startswith("--"))
        part = f"{{{{{name}}}}}" in text
        assert code.count(";") == (0 if part else 1), name
        assert part or code.endswith(";"), name
        assert not re.search(r"\b[tgv]\.\*|SELECT \*|RETURNING \*", code), name


def test_migrations_are_numbered_without_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing migration is noticed when the files are read, not when a database breaks."""
    folder = tmp_path / "migrations" / "other"
    folder.mkdir(parents=True)
    (folder / "0001_one.sql").write_text("first")
    (folder / "0003_three.sql").write_text("third")
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    with pytest.raises(ValueError, match=r"0002 is missing; found '0003_three\.sql'"):
        migrations("other")
    (folder / "0003_three.sql").rename(folder / "0002_two.sql")
    assert migrations("other") == ["first", "third"]
