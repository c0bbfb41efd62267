"""The entry point, before and around the commands."""

import logging
import sys
from collections.abc import Callable
from io import StringIO

import pytest

import ttsorch.cli
from ttsorch.cli import main


@pytest.fixture(autouse=True)
def _undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the entry point sets up for a whole process is undone after each test."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(logging.getLogger("ttsorch"), "handlers", [])
    monkeypatch.setattr(sys, "argv", ["ttsorch", "--version"])


def exit_code() -> int | str | None:
    """How the entry point exits."""
    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code


def test_a_command_ends_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    """With its exit code."""
    assert exit_code() == 0
    assert capsys.readouterr().out.startswith("ttsorch ")


def test_a_stream_that_is_no_file_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host may have put anything in the place of standard output."""
    monkeypatch.setattr(sys, "stdout", StringIO())

    assert exit_code() == 0


def _raiser(error: BaseException) -> Callable[[str], None]:
    def import_module(name: str) -> None:
        raise error

    return import_module


@pytest.mark.parametrize(
    ("error", "code"),
    [(ModuleNotFoundError(name="typer"), 2), (KeyboardInterrupt(), 130)],
)
def test_what_happens_while_importing_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    """A missing extra is a sentence; Ctrl-C is no traceback."""
    monkeypatch.setattr(ttsorch.cli, "import_module", _raiser(error))

    assert exit_code() == code


def test_a_broken_installation_is_not_taken_for_a_missing_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a defect, and told in one line."""
    broken = ModuleNotFoundError(name="shellingham")
    monkeypatch.setattr(ttsorch.cli, "import_module", _raiser(broken))
    with pytest.raises(ModuleNotFoundError):
        main()
    sys.excepthook(ModuleNotFoundError, broken, None)

    assert capsys.readouterr().err == "ttsorch: unexpected error: ModuleNotFoundError\n"


def test_what_the_library_logs_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Python prints warnings that nobody handles."""
    exit_code()
    logging.getLogger("ttsorch").warning("for operators")

    assert capsys.readouterr().err == ""
