"""The whole suite over servers that are right, servers that do without what is additive, and none at all."""

import json
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.conformance.breaking import Breaking, Exchange, Mutant
from tests.conformance.serving import QUICK, TOKENS, listening, run, serving
from ttsorch.adapters.asgi import AsgiApp, Message, Receive, Scope, Send
from ttsorch.conformance import (
    Outcome,
    Report,
    Result,
    Tokens,
    Unreachable,
    plan,
    run_contract,
    shipped_cases,
)
from ttsorch.conformance.client import NoAnswer
from ttsorch.conformance.probing import base_url
from ttsorch.errors import ValidationError
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider
from ttsorch.testing.speech import tone_wav

MAKERS: list[Callable[[], FakeJobProvider | FakeDirectProvider]] = [
    FakeDesigningJobProvider,
    FakeCastingProvider,
    FakeJobProvider,
    FakeDirectProvider,
]


def ids(report: Report, outcome: Outcome) -> set[str]:
    return {result.id for result in report.results if result.outcome is outcome}


@pytest.mark.parametrize("make", MAKERS)
def test_our_own_handler_passes(make: Callable[[], FakeJobProvider | FakeDirectProvider]) -> None:
    """Every case, with all that is additive and every sentence as the contract's authors wrote it; and it is
    deleted again, and costs no more than was said."""
    provider = make()
    with serving(provider) as url:
        report = run(url)

    assert report.differences() == []
    assert report.passed
    assert [note for result in report.results for note in result.notes] == []
    assert report.count(Outcome.NOT_OFFERED) == 0
    assert report.left == ()
    cost = plan().cost
    assert provider.ledger.submits <= cost.speeches + cost.voices
    assert len(report.results) == len(shipped_cases())


def test_it_runs_on_trio() -> None:
    """A host's tests may run on either event loop."""

    async def go(url: str) -> Report:
        return await run_contract(url, TOKENS, settings=QUICK, what=plan(rows=["R8"]))

    with serving(FakeJobProvider()) as url:
        report = anyio.run(go, url, backend="trio")

    assert report.differences() == []
    assert report.passed


def test_nothing_is_left_behind() -> None:
    """After a run the owner has what it had before: nothing, but the provider's own voices."""
    with serving(FakeDesigningJobProvider()) as url:
        run(url)
        left = run(url, plan(only=["voices-keys", "history-paging"]))
        lists = [_json(url, path) for path in ("tasks?status=all", "generations", "voices")]

    assert left.passed
    tasks, generations, voices = lists
    assert tasks["tasks"] == []
    assert generations["generations"] == []
    assert [voice["source"] for voice in voices["voices"]] == ["builtin"]


def _json(url: str, path: str) -> Any:
    import httpx

    headers = {"authorization": f"Bearer {TOKENS.owner}"}
    return httpx.get(f"{url}/api/{path}", headers=headers, trust_env=False).json()


def test_what_is_paid_can_be_left_out() -> None:
    """Nothing is spoken, no voice is made, and what needs one doesn't apply."""
    provider = FakeDesigningJobProvider()
    with serving(provider) as url:
        report = run(url, plan(paid=False))

    assert report.differences() == []
    assert report.passed
    assert provider.ledger.submits == 0
    assert {"speech", "task-completed", "audio-range", "design-save"} <= ids(
        report, Outcome.NOT_APPLICABLE
    )


def test_some_rows_alone_bring_what_they_need() -> None:
    """A range can't be asked for before there is a speech."""
    with serving(FakeJobProvider()) as url:
        report = run(url, plan(only=["audio-range"]))

    assert [result.id for result in report.results] == [
        "speech",
        "audio-redirect",
        "audio-plays",
        "audio-range",
    ]
    assert report.passed


def test_what_can_not_be_deleted_is_named() -> None:
    """Somebody has to do it by hand then."""
    stuck = Mutant("", "", "DELETE /api/.*", lambda x: x.answer(500, {"detail": "No."}))
    with serving(FakeJobProvider(), _front(stuck)) as url:
        report = run(url, plan(only=["speech"]))

    task, generation = report.left
    assert task.startswith("/api/tasks/")
    assert generation.startswith("/api/generations/")


def test_what_is_being_made_when_it_is_stopped_is_deleted_too() -> None:
    """The answer that says what was made is waited for."""
    arrived, released = threading.Event(), threading.Event()
    deleted: list[str] = []

    def slow(app: AsgiApp) -> AsgiApp:
        async def front(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/api/generate":
                arrived.set()
                await anyio.to_thread.run_sync(released.wait)
            if scope["method"] == "DELETE":
                deleted.append(str(scope["path"]))
            await app(scope, receive, send)

        return front

    async def go(url: str) -> None:
        async with anyio.create_task_group() as group:

            async def run_it() -> None:
                await run_contract(url, TOKENS, settings=QUICK, what=plan(only=["speech"]))

            group.start_soon(run_it)
            await anyio.to_thread.run_sync(arrived.wait)
            group.cancel_scope.cancel()
            released.set()

    with serving(FakeJobProvider(), slow) as url:
        anyio.run(go, url)

    assert [path.split("/")[2] for path in deleted] == ["tasks", "generations"]


@pytest.mark.parametrize(
    ("outcomes", "passed"),
    [
        ([], False),
        ([Outcome.NOT_APPLICABLE, Outcome.NOT_OFFERED], False),
        ([Outcome.PASSED, Outcome.NOT_APPLICABLE, Outcome.NOT_OFFERED], True),
        ([Outcome.PASSED, Outcome.BLOCKED], False),
        ([Outcome.PASSED, Outcome.FAILED], False),
    ],
)
def test_only_what_was_checked_and_right_is_a_pass(outcomes: list[Outcome], passed: bool) -> None:
    """Not what could not be known, nor a run in which nothing could."""
    results = tuple(Result(str(n), "", "", (), each) for n, each in enumerate(outcomes))

    assert Report("http://a", results).passed is passed


# --- servers that do without ---------------------------------------------------------------------------


def _plain(x: Exchange) -> None:
    """The contract without anything additive."""
    if x.path == "/api/tasks":
        x.answer(404, {"detail": "Not found."})
    if x.headers.get("content-type") != "application/json":
        return
    body = x.json
    if x.status >= 400:
        x.answer(x.status, {"detail": body["detail"]})
    elif "provider_poll_count" in body:
        x.answer(x.status, {name: body[name] for name in V1_TASK if name in body})


V1_TASK = (
    "id",
    "type",
    "status",
    "result",
    "error",
    "provider",
    "provider_status",
    "provider_poll_count",
    "modal_status",
    "modal_elapsed_seconds",
    "modal_poll_count",
)


def _without_key(scope: Scope) -> None:
    headers: Any = scope["headers"]
    scope["headers"] = [pair for pair in headers if pair[0] != b"idempotency-key"]


def _front(mutant: Mutant) -> Callable[[AsgiApp], AsgiApp]:
    return lambda app: Breaking(app, mutant)


def test_what_is_additive_may_be_missing() -> None:
    """A server of the plain v1 contract passes, and is told what it doesn't offer."""
    plain = Mutant("", "", "GET|POST|DELETE|PUT /api/.*", _plain, _without_key)
    with serving(FakeJobProvider(), _front(plain)) as url:
        report = run(url)

    assert report.differences() == []
    assert report.passed
    assert ids(report, Outcome.NOT_OFFERED) == {
        "request-id-of-failures",
        "task-times",
        "task-subject",
        "task-hints",
        "task-error-category",
        "tasks-listed",
        "foreign-tasks-listed",
        "idempotency",
    }


def _other_words(x: Exchange) -> None:
    if x.status == 400:
        x.set(detail="That won't do.")


def test_words_that_the_contract_leaves_open_may_be_others() -> None:
    """ "400 per field" says nothing about the sentence; ours is noted."""
    other = Mutant("", "", "POST /api/clone/.*", _other_words)
    with serving(FakeJobProvider(), _front(other)) as url:
        report = run(url, plan(only=["finalize-fields"]))

    assert report.passed
    assert report.of("finalize-fields").outcome is Outcome.PASSED
    assert report.of("finalize-fields").notes[0] == (
        'POST /api/clone/finalize: detail: ours says "voice_id is required.", this "That won\'t do."'
    )


def test_a_server_without_voices_is_given_one() -> None:
    """Modal has none until somebody clones one; then that is what speaks."""

    def none_builtin(x: Exchange) -> None:
        own = [voice for voice in x.json["voices"] if voice["source"] != "builtin"]
        x.set(voices=own)

    bare = Mutant("", "", "GET /api/voices", none_builtin)
    with serving(FakeDesigningJobProvider(), _front(bare)) as url:
        report = run(url, plan(only=["history-line"]))

    assert report.passed
    assert report.of("clone-voice").outcome is Outcome.PASSED


def test_without_any_voice_nothing_is_spoken() -> None:
    """It doesn't apply, and says what would help."""
    bare = Mutant("", "", "GET /api/voices", lambda x: x.set(voices=[]))
    with serving(FakeJobProvider(), _front(bare)) as url:
        report = run(url, plan(only=["task-completed", "health"]))

    assert report.of("task-completed").outcome is Outcome.NOT_APPLICABLE
    assert report.of("task-completed").reason == (
        "There is no voice to speak with. Name one with --voice."
    )


# --- servers that fail ---------------------------------------------------------------------------------


def test_what_an_earlier_case_did_not_get_is_missing_not_passed() -> None:
    """Nobody knows whether the audio is right when there is no speech."""
    broken = Mutant("", "", "POST /api/generate", lambda x: x.answer(503, {"detail": "No."}))
    with serving(FakeJobProvider(), _front(broken)) as url:
        report = run(url, plan(only=["audio-range"]))

    assert report.of("speech").outcome is Outcome.FAILED
    assert report.of("audio-redirect").outcome is Outcome.BLOCKED
    assert report.of("audio-redirect").reason == (
        "speech.generation_id is not known. 'A speech is acknowledged, polled and completed' did not get it."
    )
    assert not report.passed


def test_a_job_that_never_ends_ends_the_patience() -> None:
    """And not the run."""

    async def go(url: str) -> Report:
        impatient = type(QUICK)(patience=0.1, longest_pause=0.02)
        return await run_contract(url, TOKENS, settings=impatient, what=plan(only=["speech"]))

    with serving(FakeJobProvider(checks_until_ready=10**6)) as url:
        report = anyio.run(go, url)

    [difference] = report.of("speech").differences
    assert (difference.about, difference.expected) == ("status", "completed within 0.1 seconds")


def test_a_job_that_failed_says_why() -> None:
    """In the server's words."""
    provider = FakeJobProvider(audio=b"<html>no audio</html>")
    with serving(provider) as url:
        failed = Mutant(
            "", "", "GET /api/tasks/[^/]+", lambda x: x.set(status="failed", error="Out of order.")
        )
        assert provider.ledger.submits == 0
    with serving(FakeJobProvider(), _front(failed)) as url:
        report = run(url, plan(only=["speech"]))

    assert report.of("speech").differences[0].got == "failed: Out of order."


def test_a_server_that_stops_answering_is_not_asked_for_ever() -> None:
    """After three cases without an answer the rest is blocked."""
    calls = 0

    def dying(app: AsgiApp) -> AsgiApp:
        async def front(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal calls
            calls += 1
            if calls > 10:
                await send(
                    {
                        "type": "http.response.start",
                        "status": 200,
                        "headers": [(b"content-length", b"9")],
                    }
                )
                raise OSError("gone")
            await app(scope, receive, send)

        return front

    with serving(FakeJobProvider(), dying) as url:
        report = run(url)

    assert report.count(Outcome.FAILED) == 3
    assert report.results[-1].reason == "The server stopped answering."
    assert calls < 60


def test_nobody_at_home_is_one_sentence() -> None:
    """Which names no URL."""

    with pytest.raises(
        Unreachable, match=r"^There is no server to test: the server can't be reached\.$"
    ):
        run("http://127.0.0.1:9")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com",
        "http://",
        "http://a b",
        "http://u:p@example.com",
        "http://a:x",
    ],
)
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    """Before anything is sent, and without repeating a password."""
    with pytest.raises(ValidationError) as caught:
        run(url)

    assert caught.value.code == "url_invalid"
    assert "u:p" not in caught.value.message


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://a", "http://a"),
        ("http://a/", "http://a"),
        ("http://a/api", "http://a"),
        ("http://a/functions/v1/api/", "http://a/functions/v1"),
        ("https://a:1/x?q=1#f", "https://a:1/x"),
    ],
)
def test_the_paths_begin_below_the_url(given: str, base: str) -> None:
    """With or without /api, as people copy it."""
    assert base_url(given) == base


def test_a_token_that_is_not_known_is_said_so() -> None:
    """Instead of a hundred differences."""
    with serving(FakeJobProvider()) as url:
        for tokens, sentence in (
            (Tokens(owner="nobodys"), "The server does not know this token."),
            (Tokens(), "The server wants a token"),
        ):
            with pytest.raises(ValidationError, match=sentence):
                run(url, tokens=tokens)


@pytest.mark.parametrize(
    ("owner", "other"), [(None, "b"), ("a", "a"), ("a\n", None), ("", None), ("ä", None)]
)
def test_tokens_that_can_not_be_used_are_refused(owner: str | None, other: str | None) -> None:
    """Two of one owner would prove nothing; others can't be sent."""
    with pytest.raises(ValidationError):
        Tokens(owner, other)


# --- secrets -------------------------------------------------------------------------------------------


def test_no_token_goes_where_a_server_sends_us() -> None:
    """A link of the server's may lead anywhere: it is opened by nobody, or with nobody's token."""
    seen: list[tuple[str, str]] = []

    def listen(x: Exchange) -> None:
        seen.append((x.path, x.token))

    with serving(
        FakeDesigningJobProvider(),
        _front(Mutant("", "", "GET|PUT /api/(media|uploads)/.*", listen)),
    ) as url:
        run(url)

    assert {path.split("/")[2] for path, _ in seen} == {"media", "uploads"}
    assert {token for _, token in seen} <= {"", "Bearer ttsorch-contract-test-nobodys-token"}


def test_a_report_holds_no_secret() -> None:
    """Whatever the server repeats: tokens, signatures."""

    def tell(x: Exchange) -> None:
        if x.path not in ("/api/languages", "/api/voices", "/api/health"):
            link = "https://store.example/a.wav?X-Amz-Signature=0123456789abcdef"
            x.answer(418, {"detail": f"{x.token} {link} /api/media/a?signature=0123456789abcdef"})

    with serving(
        FakeJobProvider(), _front(Mutant("", "", "GET|POST|DELETE|PUT /api/.*", tell))
    ) as url:
        report = run(url)

    shown = json.dumps(report.to_record()) + repr(report) + repr(TOKENS)
    assert not report.passed
    assert "https://store.example/a.wav?…" in repr(report)
    for secret in ("token-of-ann", "token-of-bob", "0123456789abcdef", "Amz-Signature"):
        assert secret not in shown


def test_what_went_wrong_on_the_wire_names_no_url(caplog: pytest.LogCaptureFixture) -> None:
    """Nor does any log line."""
    caplog.set_level("DEBUG")

    async def go() -> None:
        from ttsorch.conformance.client import Client

        async with listening(_breaks_off) as url, Client(5.0) as client:
            with pytest.raises(NoAnswer) as caught:
                await client.ask(
                    "GET", f"{url}/a?signature=secret", {"authorization": "Bearer secret"}
                )
        assert str(caught.value) == "the answer broke off, or isn't HTTP"
        assert caught.value.__context__ is None

    anyio.run(go)
    assert "secret" not in caplog.text


async def _breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
    started: Message = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-length", b"9")],
    }
    await send(started)
    await send({"type": "http.response.body", "body": b"x", "more_body": True})
    raise OSError("gone")


def test_a_voice_is_made_of_what_was_just_spoken() -> None:
    """Speech that is long enough is a better recording than a tone, and comes with what is said in it."""
    provider = FakeDesigningJobProvider(audio=tone_wav(3.5))
    sent: list[Any] = []

    def listen(x: Exchange) -> None:
        sent.append(x.sent if x.method == "PUT" else x.sent_json()["transcript"])

    front = _front(Mutant("", "", "PUT|POST /api/(uploads/.*|clone/finalize)", listen))
    with serving(provider, front) as url:
        report = run(url, plan(only=["history-line", "audio-plays", "clone-voice"]))

    assert report.passed
    assert sent[0] == provider.audio
    assert sent[1].endswith("Äpfel & 100% tea_time, isn't it? One, two, three, four.")
