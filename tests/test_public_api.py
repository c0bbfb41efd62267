"""What `import ttsorch` gives, and what it doesn't pull in."""

import pickle
import pydoc
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

import pytest

import ttsorch

FORBIDDEN = {
    "httpx", "httpcore", "tenacity", "tinytag", "sqlite3", "psycopg", "obstore", "starlette", "fastapi",
    "flask", "django", "aiohttp", "litestar", "uvicorn", "typer", "rich", "pytest", "hypothesis",
    "espeakng_loader", "trio",
}  # fmt: skip
HOMES = ("errors", "models", "protocols", "orchestrator")


def loaded_after(code: str) -> set[str]:
    """The modules that a fresh process has then."""
    return set(
        subprocess.run(
            [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.split()
    )


def test_everything_public_is_listed_and_everything_listed_exists() -> None:
    """`__all__` is the table of contents, and what dir() shows is that and the modules of the names."""
    public = {name for name in dir(ttsorch) if not name.startswith("_")}
    assert public == {*ttsorch.__all__, *HOMES}
    assert len(ttsorch.__all__) == len(set(ttsorch.__all__))
    assert all(getattr(ttsorch, name) is not None for name in ttsorch.__all__)


def test_each_name_is_what_its_module_has() -> None:
    """A class says where it is defined, and is found there and in the public module above: the same one."""
    for name in ttsorch.__all__:
        found = getattr(ttsorch, name)
        if isinstance(found, type):
            assert found is getattr(import_module(found.__module__), name)
            package, home, *_ = found.__module__.split(".")
            assert package == "ttsorch"
            assert home in HOMES
            assert found is getattr(import_module(f"ttsorch.{home}"), name)


def test_a_name_that_is_not_ours_is_missing_in_the_usual_way() -> None:
    """Also one that happens to be in a module of ours."""
    for name in ("Speech", "Mapping", "dataclass"):
        with pytest.raises(AttributeError, match=f"module 'ttsorch' has no attribute '{name}'"):
            getattr(ttsorch, name)


def test_records_and_errors_survive_pickling() -> None:
    """By the name that their class has at home, which a process finds that never looked here."""
    word = ttsorch.Running("running", elapsed=1.0)
    assert pickle.loads(pickle.dumps(word)) == word  # noqa: S301
    assert pickle.loads(pickle.dumps(ttsorch.Status)) is ttsorch.Status  # noqa: S301


def test_help_tells_of_every_public_class() -> None:
    """What is looked up late is documented all the same."""
    told = pydoc.plain(pydoc.render_doc(ttsorch))
    for name in ("Orchestrator", "SpeechRequest", "TaskStore", "SubmitRateLimit"):
        assert f"class {name}" in told


def test_the_version_is_the_packages() -> None:
    """One number, wherever it is read."""
    assert ttsorch.__version__ == version("ttsorch")


def test_importing_ttsorch_pulls_in_nothing_of_ours() -> None:
    """A web function that imports it pays for nothing that it doesn't use yet."""
    loaded = loaded_after("import ttsorch")
    assert {name for name in loaded if name.startswith("ttsorch")} == {"ttsorch"}
    assert not {"anyio", "pydantic", *FORBIDDEN} & loaded


def test_an_error_is_caught_without_the_orchestrator() -> None:
    """Only the modules up to a name's own are imported for it."""
    assert "ttsorch.models" not in loaded_after("from ttsorch import NotFound")
    assert "ttsorch.orchestrator" not in loaded_after("import ttsorch; ttsorch.models.Task")


def test_all_names_together_pull_in_no_client_driver_or_framework() -> None:
    """Nor does the orchestrator: those are for who asks for a provider, a store or an adapter."""
    loaded = loaded_after("from ttsorch import *")
    assert "ttsorch.orchestrator" in loaded
    assert not FORBIDDEN & loaded
