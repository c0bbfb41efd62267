"""``ttsorch contract-test``: exit codes, reports, tokens, and being stopped."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Watched, record
from tests.cli.test_process import TTSORCH
from tests.conformance.breaking import Breaking, Mutant
from tests.conformance.serving import TOKENS, serving
from ttsorch.adapters.asgi import AsgiApp, Receive, Scope, Send
from ttsorch.cli.contract_command import _watching
from ttsorch.conformance import Outcome, Result, plan
from ttsorch.testing.fake_voices import FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeJobProvider

GIVEN = ("--token", str(TOKENS.owner), "--other-token", str(TOKENS.other))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A right server."""
    with serving(FakeDesigningJobProvider()) as address:
        yield address


@pytest.fixture(scope="module")
def wrong_url() -> Iterator[str]:
    """One whose health is a string."""
    mutant = Mutant("", "", "GET /api/health", lambda x: x.set(ok="yes"))
    with serving(FakeJobProvider(), lambda app: Breaking(app, mutant)) as address:
        yield address


def test_a_right_server_is_exit_0(ttsorch_command: Command, url: str) -> None:
    """One line for each case, under the row that it proves, and the sum."""
    result = ttsorch_command("contract-test", url, *GIVEN, "--rows", "r1,r2")

    assert result.exit_code == 0
    assert result.stdout == (
        "R1  GET /api/health\n"
        "  ok           Health is there for everybody\n"
        "R2  GET /api/languages\n"
        "  ok           The languages come with what the provider can do\n"
        "  ok           The languages need no token, and a bad one does no harm\n"
        "\n"
        f"{url}: 3 passed\n"
    )
    assert result.stderr == "ttsorch: 3 cases; nothing is spoken and no voice is made.\n"


def test_a_difference_is_exit_1_and_shown(ttsorch_command: Command, wrong_url: str) -> None:
    """What was asked, what was expected, what came."""
    result = ttsorch_command("contract-test", wrong_url, *GIVEN, "--only", "health")

    assert result.exit_code == 1
    assert result.stdout == (
        "R1  GET /api/health\n"
        "  DIFFERENT    Health is there for everybody  [health]\n"
        "               GET /api/health: ok\n"
        "                 expected  true\n"
        '                 got       "yes"\n'
        "               GET /api/health: ok\n"
        "                 expected  true\n"
        '                 got       "yes"\n'
        "\n"
        f"{wrong_url}: 1 different\n"
    )


def test_a_difference_says_what_was_sent(ttsorch_command: Command) -> None:
    """Of nine bodies that are refused at one address, which one wasn't."""
    mutant = Mutant("", "", "POST /api/generate", lambda x: x.answer(422, {"detail": "No."}))
    with serving(FakeJobProvider(), lambda app: Breaking(app, mutant)) as url:
        result = ttsorch_command(
            "contract-test", url, *GIVEN, "--only", "generate-not-json,generate-text-required"
        )

    assert "POST /api/generate the text \"{'text': 1}\": status\n" in result.stdout
    assert 'POST /api/generate {"voice_id": "{missing.id}", "text": 42}: status\n' in result.stdout


def test_what_does_not_apply_says_why(ttsorch_command: Command, url: str) -> None:
    """And is never counted as passed."""
    result = ttsorch_command(
        "contract-test", url, *GIVEN, "--only", "task-completed,languages", "--no-paid"
    )

    assert result.exit_code == 0
    assert (
        "  n/a          A speech is acknowledged, polled and completed  [speech]\n" in result.stdout
    )
    assert "               It may cost something, and was left out.\n" in result.stdout
    assert result.stdout.endswith(": 1 passed, 2 not applicable\n")


def test_a_report_can_be_read_by_programs(ttsorch_command: Command, wrong_url: str) -> None:
    """With every key, and the same exit code."""
    result = ttsorch_command("contract-test", wrong_url, *GIVEN, "--rows", "R1", "--json")
    report = record(result)

    assert result.exit_code == 1
    assert (report["url"], report["passed"], report["left"]) == (wrong_url, False, [])
    assert report["counts"]["failed"] == 1
    assert report["cases"][0] == {
        "id": "health",
        "name": "Health is there for everybody",
        "theme": "about",
        "proves": ["R1", "C1"],
        "outcome": "failed",
        "differences": 2
        * [{"request": "GET /api/health", "about": "ok", "expected": "true", "got": '"yes"'}],
        "notes": [],
        "reason": None,
    }


def test_tokens_may_come_from_the_environment(
    ttsorch_command: Command, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where other users of the machine don't see them; and no output holds one."""
    monkeypatch.setenv("TTSORCH_CONTRACT_TOKEN", str(TOKENS.owner))
    monkeypatch.setenv("TTSORCH_CONTRACT_OTHER_TOKEN", str(TOKENS.other))
    result = ttsorch_command("contract-test", url, "--only", "no-token,foreign-lists", "--json")

    assert result.exit_code == 0
    assert record(result)["counts"]["passed"] == 3
    assert "token-of" not in result.output
    assert "token-of" not in ttsorch_command("contract-test", "--help").output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--rows", "R99"), "There is no row 'R99' in the exchanges."),
        (("--only", "nonsense"), "There is no theme or case 'nonsense' in the exchanges."),
        (("--patience", "0"), "--patience must be a positive number of seconds."),
        (("--patience", "nan"), "--patience must be a positive number of seconds."),
        (("--other-token", "b"), "A token of another owner needs one of the first."),
        (("--token", "b", "--other-token", "b"), "The two tokens have to be of two owners."),
        (("--clip", "a.wav"), "--clip and --clip-text go together: what is said in the recording."),
        (
            ("--clip", "nowhere.wav", "--clip-text", "Hello."),
            "The recording can't be read: No such file or directory.",
        ),
        (("--token", "unknown"), "The server does not know this token."),
        (
            ("--token", str(TOKENS.owner), "--other-token", "unknown"),
            "The server does not know the other token.",
        ),
        ((), "The server wants a token: give it with --token or TTSORCH_CONTRACT_TOKEN."),
    ],
)
def test_a_wrong_usage_is_exit_2(
    ttsorch_command: Command, url: str, arguments: tuple[str, ...], sentence: str
) -> None:
    """And one sentence."""
    result = ttsorch_command("contract-test", url, *arguments)

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"ttsorch: {sentence}"


def test_a_server_that_is_not_there_is_exit_1(ttsorch_command: Command) -> None:
    """And one sentence, or one object."""
    plain = ttsorch_command("contract-test", "http://127.0.0.1:9")
    program = ttsorch_command("contract-test", "http://127.0.0.1:9", "--json")

    assert (plain.exit_code, program.exit_code) == (1, 1)
    assert plain.stderr.splitlines()[-1] == (
        "ttsorch: There is no server to test: the server can't be reached."
    )
    assert record(program)["error"]["code"] == "server_unreachable"


def test_a_recording_and_a_voice_can_be_given(
    ttsorch_command: Command, url: str, folder: Path
) -> None:
    """A vendor may want more than four seconds of a tone."""
    (folder / "reader.wav").write_bytes(b"no recording")
    result = ttsorch_command(
        *("contract-test", url, *GIVEN, "--only", "clone-voice", "--json"),
        *("--clip", "reader.wav", "--clip-text", "Hello."),
    )
    unknown = ttsorch_command(
        "contract-test", url, *GIVEN, "--only", "delete-active", "--voice", "anna", "--json"
    )

    assert "The uploaded file is not audio." in str(record(result)["cases"])
    assert "Invalid voice_id" in str(record(unknown)["cases"])


def test_who_watches_sees_it_count(watched: Watched) -> None:
    """On standard error, and gone in the end."""
    terminal = watched()
    with _watching(plan(rows=["R1"])) as watch:
        watch(Result("health", "Health.", "about", ("R1",), Outcome.PASSED))

    assert "1/1" in terminal.getvalue()


def test_what_was_made_is_deleted_when_it_is_stopped() -> None:
    """Ctrl-C ends it with 130, and leaves no speech at the server."""
    provider = FakeJobProvider(checks_until_ready=10**6)
    seen = {"GET": threading.Event(), "DELETE": threading.Event()}
    mutant = Mutant("", "", "GET|DELETE /api/tasks/.*", lambda x: seen[x.method].set())
    with serving(provider, lambda app: Breaking(app, mutant)) as address:
        process = subprocess.Popen(
            [sys.executable, TTSORCH, "contract-test", address, *GIVEN, "--only", "speech"],
            stderr=subprocess.PIPE,
        )
        assert seen["GET"].wait(60)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert seen["DELETE"].is_set()
    assert b"Traceback" not in errors


class Holding:
    """A right server that answers no DELETE: with an error, or, with ``silent``, not at all."""

    def __init__(self, app: AsgiApp, *, silent: bool) -> None:
        self._app = app
        self._silent = silent
        self.polled, self.deleting = threading.Event(), threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if str(scope.get("path")).startswith("/api/tasks/"):
            if scope["method"] == "GET":
                self.polled.set()
            if scope["method"] == "DELETE":
                self.deleting.set()
                if self._silent:
                    await receive()
                    await receive()  # until the client goes
                    return
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body", "body": b"no"})
                return
        await self._app(scope, receive, send)


@pytest.mark.parametrize("silent", [False, True], ids=["refused", "silent"])
def test_what_could_not_be_deleted_is_listed_when_it_is_stopped(silent: bool) -> None:
    """By its path, so that somebody can delete it. Who does not want to wait for it presses Ctrl-C again, and
    gets the same list."""
    servers: list[Holding] = []

    def held(app: AsgiApp) -> Holding:
        servers.append(Holding(app, silent=silent))
        return servers[0]

    with serving(FakeJobProvider(checks_until_ready=10**6), held) as address:
        process = subprocess.Popen(
            [sys.executable, TTSORCH, "contract-test", address, *GIVEN, "--only", "speech"],
            stderr=subprocess.PIPE,
        )
        assert servers[0].polled.wait(60)
        process.send_signal(signal.SIGINT)
        assert servers[0].deleting.wait(60)
        if silent:
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    listed = [line for line in errors.decode().splitlines() if "not deleted" in line]
    assert any(line.startswith("ttsorch: not deleted: /api/tasks/") for line in listed)
    assert any("/api/generations/" in line for line in listed) == silent
    assert str(TOKENS.owner) not in errors.decode()
    assert b"Traceback" not in errors
