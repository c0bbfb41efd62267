"""Settings: each one read strictly, none of them leaked, and all that they open closed again."""

import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import anyio
import pytest

import ttsorch.config
from ttsorch.config import (
    LOCAL_OWNER,
    Config,
    load_signing_key,
    migrate_database,
    open_orchestrator,
)
from ttsorch.errors import ConfigurationError, SchemaTooNew, StorageUnavailable
from ttsorch.models import NO_LIMITS, Limits, Transition
from ttsorch.orchestrator import Orchestrator
from ttsorch.protocols import BlobStore
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.fakes import FakeDirectProvider
from ttsorch.testing.speech import a_request

CANARY = "c4nary"

GOOD: list[tuple[dict[str, str], str, object]] = [
    ({}, "host", "127.0.0.1"),
    ({}, "port", 8000),
    ({}, "provider", "local"),
    ({}, "database_url", "sqlite:///data/ttsorch.db"),
    ({}, "tokens", None),
    ({}, "signing_key", None),
    ({}, "limits", NO_LIMITS),
    ({"HOST": "localhost"}, "host", "localhost"),
    ({"HOST": "127.8.9.1"}, "host", "127.8.9.1"),
    ({"HOST": "::1"}, "host", "::1"),
    ({"HOST": "  "}, "host", "127.0.0.1"),
    ({"HOST": "0.0.0.0", "TTSORCH_TOKENS": "t=o"}, "host", "0.0.0.0"),  # noqa: S104  # the point of the row
    ({"HOST": "tts.example.org", "TTSORCH_TOKENS": "t=o"}, "host", "tts.example.org"),
    ({"PORT": "0"}, "port", 0),
    ({"PORT": " 65535 "}, "port", 65535),
    ({"TTS_PROVIDER_MODE": " LOCAL "}, "provider", "local"),
    ({"TTSORCH_DATABASE_URL": "memory://"}, "database_url", "memory://"),
    ({"TTSORCH_DATABASE_URL": "postgresql://u:p@h/d"}, "database_url", "postgresql://u:p@h/d"),
    ({"TTSORCH_BLOB_URL": "memory://"}, "blob_url", "memory://"),
    ({"TTSORCH_BLOB_URL": "s3://bucket/prefix"}, "blob_url", "s3://bucket/prefix"),
    ({"TTSORCH_BLOB_URL": "file:relative/folder"}, "blob_url", "file:relative/folder"),
    ({"TTSORCH_TOKENS": "abc=ann"}, "tokens", {"abc": "ann"}),
    ({"TTSORCH_TOKENS": "a=ann, b=bo@x.org"}, "tokens", {"a": "ann", "b": "bo@x.org"}),
    ({"TTSORCH_TOKENS": "a=ann,b=ann"}, "tokens", {"a": "ann", "b": "ann"}),
    ({"TTSORCH_TOKENS": "padded===ann"}, "tokens", {"padded==": "ann"}),
    ({"TTSORCH_SIGNING_KEY": "k" * 16}, "signing_key", b"k" * 16),
    ({"TTSORCH_MAX_ACTIVE_JOBS": "1"}, "limits", Limits(active_per_owner=1)),
    ({"TTSORCH_MAX_SUBMITS_PER_MINUTE": "2"}, "limits", Limits(submits_per_minute=2)),
    ({"TTSORCH_MAX_IN_FLIGHT": "3"}, "limits", Limits(in_flight_per_provider=3)),
    ({}, "trusted_proxies", ("127.0.0.0/8", "::1")),
    ({"TTSORCH_TRUSTED_PROXIES": " 10.0.0.0/8, ::1"}, "trusted_proxies", ("10.0.0.0/8", "::1")),
    ({"TTSORCH_TRUSTED_PROXIES": "*"}, "trusted_proxies", ("*",)),
]

BAD: list[tuple[str, str]] = [
    ("HOST", f"{CANARY} host"),
    ("HOST", f"{CANARY}:8000"),
    ("HOST", f"http://{CANARY}"),
    ("HOST", "[::1]"),
    ("HOST", f"::1%{CANARY}\n0"),
    ("PORT", CANARY),
    ("PORT", "-1"),
    ("PORT", "65536"),
    ("PORT", "8_000"),
    ("PORT", "80.0"),
    ("PORT", "９９９９"),
    ("PORT", "9" * 5000),
    ("TTSORCH_DATABASE_URL", f"mysql://{CANARY}@host/db"),
    ("TTSORCH_DATABASE_URL", f"data/{CANARY}.db"),
    ("TTSORCH_DATABASE_URL", f"sqlite:///{CANARY}\x00.db"),
    ("TTSORCH_BLOB_URL", f"/var/{CANARY}"),
    ("TTSORCH_BLOB_URL", f"ftp://{CANARY}@host"),
    ("TTSORCH_BLOB_URL", f"s3://{CANARY}\nbucket"),
    ("TTSORCH_TOKENS", CANARY),
    ("TTSORCH_TOKENS", f"{CANARY}="),
    ("TTSORCH_TOKENS", f"={CANARY}"),
    ("TTSORCH_TOKENS", f"{CANARY}=ann,"),
    ("TTSORCH_TOKENS", f",{CANARY}=ann"),
    ("TTSORCH_TOKENS", f"{CANARY}=ann,,b=bo"),
    ("TTSORCH_TOKENS", f"{CANARY}=ann,{CANARY}=bo"),
    ("TTSORCH_TOKENS", f"{CANARY} x=ann"),
    ("TTSORCH_TOKENS", f"{CANARY}=ann lee"),
    ("TTSORCH_TOKENS", f"=={CANARY}"),
    ("TTSORCH_SIGNING_KEY", CANARY),
    ("TTSORCH_SIGNING_KEY", f"{CANARY} with spaces in it"),
    ("TTSORCH_SIGNING_KEY", f"{CANARY}-with-a-line\nbreak-in-it"),
    ("TTSORCH_SIGNING_KEY", f"{CANARY}-with-an-ümlaut"),
    ("TTSORCH_RESULT_HOSTS", CANARY),
    ("TTSORCH_RESULT_HOSTS", f"{CANARY}:0"),
    ("TTSORCH_RESULT_HOSTS", f"{CANARY}:65536"),
    ("TTSORCH_RESULT_HOSTS", f"http://{CANARY}:80"),
    ("TTSORCH_RESULT_HOSTS", f"{CANARY}:80,"),
    ("TTSORCH_RESULT_HOSTS", f"{CANARY}.:80"),
    ("TTSORCH_RESULT_HOSTS", f"{CANARY}:0080"),
    ("TTSORCH_RESULT_HOSTS", f"[fe80::1%{CANARY}]:80"),
    ("TTSORCH_RESULT_HOSTS", f"[{CANARY}]:80"),
    ("TTSORCH_TRUSTED_PROXIES", CANARY),
    ("TTSORCH_TRUSTED_PROXIES", "10.0.0.1/8"),
    ("TTSORCH_TRUSTED_PROXIES", "10.0.0.1,"),
    ("TTSORCH_TRUSTED_PROXIES", f"fe80::1%{CANARY}"),
    ("TTSORCH_MAX_ACTIVE_JOBS", "0"),
    ("TTSORCH_MAX_SUBMITS_PER_MINUTE", "0"),
    ("TTSORCH_MAX_IN_FLIGHT", CANARY),
    ("TTSORCH_MAX_ACTIVE_JOBS", CANARY),
]


@pytest.mark.parametrize(("environ", "field", "value"), GOOD)
def test_a_well_formed_setting_is_taken(environ: dict[str, str], field: str, value: object) -> None:
    """Each variable's good values arrive in their field; unset or blank ones leave the default."""
    assert value == getattr(Config.from_env(environ), field)


@pytest.mark.parametrize(("variable", "value"), BAD)
def test_a_malformed_setting_is_refused_by_name_and_never_quoted(variable: str, value: str) -> None:
    """The error names the variable and holds nothing of the value, in its whole chain."""
    with pytest.raises(ConfigurationError, match=rf"^{variable} must be ") as caught:
        Config.from_env({variable: value})

    assert variable == caught.value.field
    assert caught.value.__cause__ is None
    assert CANARY not in f"{caught.value!r} {caught.value.message} {caught.value.detail}"


def test_an_unknown_provider_is_refused_in_the_words_of_the_contract() -> None:
    """Row R2: the sentence shows the mode as it was given, and the names that are known."""
    with pytest.raises(
        ConfigurationError,
        match=re.escape("Invalid TTS_PROVIDER_MODE: Nope. Expected one of: local"),
    ):
        Config.from_env({"TTS_PROVIDER_MODE": "Nope"})


@pytest.mark.parametrize("host", ["::", "192.168.1.5", "tts.example.org", "127.example.org"])
def test_a_host_that_others_can_reach_needs_tokens(host: str) -> None:
    """Without tokens everybody is the one owner, so only this machine may connect."""
    with pytest.raises(ConfigurationError, match=r"^TTSORCH_TOKENS must be set"):
        Config.from_env({"HOST": host})
    with pytest.raises(ConfigurationError, match=r"^TTSORCH_TOKENS must be set"):
        Config(host=host)


def test_audio_is_kept_in_the_current_folder_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default blob URL names data/blobs as it is at the start, whatever becomes the folder later."""
    folder = tmp_path / "with space"
    folder.mkdir()
    monkeypatch.chdir(folder)

    assert (folder / "data" / "blobs").as_uri() == Config.from_env({}).blob_url


def test_the_repr_shows_no_secret() -> None:
    """Tokens, keys, URLs with passwords and the provider's own settings stay out of logs."""
    config = Config.from_env(
        {
            "TTSORCH_TOKENS": f"{CANARY}=ann",
            "TTSORCH_SIGNING_KEY": f"{CANARY}{CANARY}{CANARY}",
            "TTSORCH_DATABASE_URL": f"postgresql://user:{CANARY}@host/db",
            "TTSORCH_BLOB_URL": f"s3://{CANARY}@bucket",
            "DASHSCOPE_API_KEY": CANARY,
        }
    )

    assert CANARY not in repr(config)
    assert config.environ["DASHSCOPE_API_KEY"] == CANARY


# --- the signing key ----------------------------------------------------------------------------------


def _with_database(path: Path) -> Config:
    return Config(database_url=f"sqlite:///{path}")


def test_a_configured_signing_key_is_used_as_it_is(tmp_path: Path) -> None:
    """And no file is made beside the database."""
    config = Config(database_url=f"sqlite:///{tmp_path}/tasks.db", signing_key=b"k" * 16)

    assert load_signing_key(config) == b"k" * 16
    assert list(tmp_path.iterdir()) == []


def test_a_made_signing_key_is_kept_for_the_next_start(tmp_path: Path) -> None:
    """It lies beside the database, for its owner's eyes only, and no draft of it is left."""
    config = _with_database(tmp_path / "new" / "tasks.db")

    key = load_signing_key(config)

    [file] = (tmp_path / "new").iterdir()
    assert (32, key) == (len(key), load_signing_key(config))
    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == ("tasks.db.signing-key", 0o600)


def test_a_memory_database_has_a_signing_key_of_its_own() -> None:
    """Nothing is written, and the next start has another key."""
    config = Config(database_url="memory://")

    assert load_signing_key(config) != load_signing_key(config)


def test_a_shared_database_needs_a_configured_signing_key() -> None:
    """A key made here would not be known to the other machines."""
    with pytest.raises(ConfigurationError, match=r"^TTSORCH_SIGNING_KEY must be set") as caught:
        load_signing_key(Config(database_url=f"postgresql://u:{CANARY}@host/db"))

    assert CANARY not in str(caught.value)


def test_a_damaged_signing_key_is_refused(tmp_path: Path) -> None:
    """Links signed with an empty key could be made by anybody."""
    (tmp_path / "tasks.db.signing-key").touch()

    with pytest.raises(
        ConfigurationError, match=r"^TTSORCH_SIGNING_KEY must be set, or the damaged"
    ):
        load_signing_key(_with_database(tmp_path / "tasks.db"))


def test_a_signing_key_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    """The error says what to set, without the path."""
    (tmp_path / CANARY).touch()

    with pytest.raises(ConfigurationError, match=r"^TTSORCH_SIGNING_KEY must be set") as caught:
        load_signing_key(_with_database(tmp_path / CANARY / "tasks.db"))

    assert CANARY not in f"{caught.value} {caught.value.detail}"


def test_processes_that_start_at_once_agree_on_one_signing_key(tmp_path: Path) -> None:
    """Whoever publishes first wins, and nobody ever reads half a key."""
    program = (
        "import sys; from ttsorch.config import Config, load_signing_key;"
        "config = Config(database_url=sys.argv[1]);"
        "print('ready', flush=True); sys.stdin.readline();"
        "print(load_signing_key(config).hex())"
    )
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", program, f"sqlite:///{tmp_path}/data/tasks.db"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in starts:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in starts:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    keys = {process.communicate(timeout=30)[0] for process in starts}

    assert len(keys) == 1
    assert re.fullmatch(r"[0-9a-f]{64}\n", keys.pop())
    assert os.listdir(tmp_path / "data") == ["tasks.db.signing-key"]


def test_the_loser_of_a_race_reads_the_winners_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that appears between our look and our own is the one that counts."""
    winner = b"w" * 32

    def lose(draft: Path, path: Path) -> None:
        path.write_bytes(winner)
        raise FileExistsError

    monkeypatch.setattr(os, "link", lose)

    assert winner == load_signing_key(_with_database(tmp_path / "tasks.db"))
    assert os.listdir(tmp_path) == ["tasks.db.signing-key"]


# --- opening ------------------------------------------------------------------------------------------

pytest_anyio = pytest.mark.anyio


class Parts:
    """The parts that a config opens, and the order in which they were closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.closed: list[str] = []
        self.failing: str | None = None
        self.provider = FakeDirectProvider("local")
        monkeypatch.setattr(ttsorch.config, "open_task_store", self._open_tasks)
        monkeypatch.setattr(ttsorch.config, "open_blob_store", self._open_blobs)
        monkeypatch.setattr(ttsorch.config, "load_provider", self._load_provider)
        monkeypatch.setattr(ttsorch.config, "Orchestrator", self._orchestrate)

    def _opened(self, name: str, part: object) -> None:
        if name == self.failing:
            raise StorageUnavailable(code=name)

        async def aclose() -> None:
            await anyio.lowlevel.checkpoint()
            self.closed.append(name)

        part.aclose = aclose  # type: ignore[attr-defined]  # spies on a real part

    async def _open_tasks(self, url: str) -> MemoryTaskStore:
        store = MemoryTaskStore()
        self._opened("tasks", store)
        return store

    def _open_blobs(self, url: str, environ: Mapping[str, str]) -> BlobStore:
        blobs = MemoryBlobStore()
        self._opened("blobs", blobs)
        return blobs

    def _load_provider(self, name: str, environ: Mapping[str, str]) -> FakeDirectProvider:
        self._opened("provider", self.provider)
        return self.provider

    def _orchestrate(self, **arguments: object) -> Orchestrator:
        if self.failing == "orchestrator":
            raise StorageUnavailable(code="orchestrator")
        return Orchestrator(**arguments)  # type: ignore[arg-type]  # passed on as they came


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    """Stand-ins for what a config opens."""
    return Parts(monkeypatch)


@pytest_anyio
async def test_everything_opened_is_closed_in_reverse_order(parts: Parts) -> None:
    """The orchestrator runs while all of it is open."""
    async with open_orchestrator(Config()) as orchestrator:
        await orchestrator.list_tasks(owner=LOCAL_OWNER)
        assert parts.closed == []

    assert parts.closed == ["provider", "blobs", "tasks"]


@pytest_anyio
@pytest.mark.parametrize(
    ("failing", "closed"),
    [
        ("tasks", []),
        ("blobs", ["tasks"]),
        ("provider", ["blobs", "tasks"]),
        ("orchestrator", ["provider", "blobs", "tasks"]),
    ],
)
async def test_what_is_open_already_is_closed_when_a_later_part_fails(
    parts: Parts, failing: str, closed: list[str]
) -> None:
    """The failure comes through as it is."""
    parts.failing = failing

    with pytest.raises(StorageUnavailable) as caught:
        async with open_orchestrator(Config()):
            pytest.fail("opened")

    assert (failing, closed) == (caught.value.code, parts.closed)


@pytest_anyio
async def test_everything_is_closed_although_the_host_is_cancelled(parts: Parts) -> None:
    """Closing is out of reach of the cancellation that causes it."""
    with anyio.CancelScope() as scope:
        async with open_orchestrator(Config()):
            scope.cancel()
            await anyio.sleep_forever()

    assert parts.closed == ["provider", "blobs", "tasks"]


@pytest_anyio
async def test_an_error_inside_comes_out_as_it_is(parts: Parts) -> None:
    """No exception group around it, and everything is closed."""
    with pytest.raises(LookupError):
        async with open_orchestrator(Config()):
            raise LookupError

    assert parts.closed == ["provider", "blobs", "tasks"]


@pytest_anyio
async def test_listeners_hear_of_transitions(parts: Parts) -> None:
    """They are handed on to the orchestrator."""
    heard: list[Transition] = []

    async def listen(transition: Transition) -> None:
        heard.append(transition)

    async with open_orchestrator(Config(), background=False, listeners=[listen]) as orchestrator:
        await orchestrator.submit(a_request(provider="local"), owner=LOCAL_OWNER)

    assert len(heard) == 1


@pytest_anyio
@pytest.mark.parametrize(
    ("config", "variable"),
    [
        (Config(database_url=f"sqlite:///{CANARY}?mode=ro"), "TTSORCH_DATABASE_URL"),
        (Config(database_url="memory://", blob_url=f"ftp://{CANARY}"), "TTSORCH_BLOB_URL"),
    ],
)
async def test_what_a_backend_refuses_is_named_after_its_variable(
    config: Config, variable: str
) -> None:
    """The backend's own sentence says what is expected; the value appears nowhere."""
    with pytest.raises(ConfigurationError, match=rf"^{variable}: .* memory://") as caught:
        async with open_orchestrator(config):
            pytest.fail("opened")

    assert variable == caught.value.field
    assert CANARY not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest_anyio
@pytest.mark.parametrize(
    ("failing", "variable"), [("tasks", "TTSORCH_DATABASE_URL"), ("blobs", "TTSORCH_BLOB_URL")]
)
async def test_storage_that_cannot_be_opened_is_named_after_its_variable(
    parts: Parts, failing: str, variable: str
) -> None:
    """With the same code and category; a backend that knows nothing more says nothing more."""
    parts.failing = failing
    with pytest.raises(StorageUnavailable, match=rf"^{variable}: cannot be opened\.$") as caught:
        async with open_orchestrator(Config()):
            pytest.fail("opened")

    assert (caught.value.code, caught.value.category) == (failing, "provider_unavailable")


@pytest_anyio
async def test_a_damaged_database_is_told_with_its_reason(tmp_path: Path) -> None:
    """Neither where it is nor what is in it is quoted."""
    path = tmp_path / f"{CANARY}.db"
    path.write_bytes(CANARY.encode() * 1000)
    with pytest.raises(StorageUnavailable) as caught:
        async with open_orchestrator(_with_database(path)):
            pytest.fail("opened")

    assert caught.value.message == "TTSORCH_DATABASE_URL: cannot be opened (SQLITE_NOTADB)."
    assert CANARY not in repr(caught.value)


@pytest_anyio
async def test_a_database_of_a_newer_ttsorch_says_so(tmp_path: Path) -> None:
    """As the error that it is, in its own words, behind the variable's name."""
    path = tmp_path / "tasks.db"
    await migrate_database(_with_database(path))
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(SchemaTooNew, match=r"^TTSORCH_DATABASE_URL: .*version 99"):
        await migrate_database(_with_database(path))


@pytest_anyio
async def test_the_configured_parts_are_real_ones(tmp_path: Path) -> None:
    """A SQLite file, a folder and the local engine say a text between them."""
    config = Config(
        database_url=f"sqlite:///{tmp_path}/tasks.db", blob_url=(tmp_path / "blobs").as_uri()
    )
    async with open_orchestrator(config, background=False) as orchestrator:
        voice = (await orchestrator.builtin_voices())[0]
        request = a_request(provider="local")
        job = await orchestrator.submit(type(request)(request.text, voice), owner=LOCAL_OWNER)
        job = await orchestrator.poll_once(job.task.id, owner=LOCAL_OWNER)

    assert job.task.audio is not None
    assert (tmp_path / "blobs" / job.task.audio.key).stat().st_size == job.task.audio.size


@pytest_anyio
async def test_migrating_says_at_which_version_the_database_is(tmp_path: Path) -> None:
    """The file is made, and a memory database has no schema."""
    assert await migrate_database(_with_database(tmp_path / "tasks.db")) >= 1
    assert (tmp_path / "tasks.db").is_file()
    assert await migrate_database(Config(database_url="memory://")) == 0
