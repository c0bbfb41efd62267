"""Servers that do without what is additive, and servers that fail."""

from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.conformance.breaking import Exchange, Mutant, in_front
from tests.conformance.serving import QUICK, TOKENS, ids, run, serving
from ttsorch.adapters.asgi import AsgiApp, Receive, Scope, Send
from ttsorch.conformance import (
    Outcome,
    Report,
    Tokens,
    Unreachable,
    plan,
    run_contract,
)
from ttsorch.conformance.probing import base_url
from ttsorch.errors import ValidationError
from ttsorch.testing.fake_voices import FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeJobProvider

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


def test_what_is_additive_may_be_missing() -> None:
    """A server of the plain v1 contract passes, and is told what it doesn't offer."""
    plain = Mutant("", "", "GET|POST|DELETE|PUT /api/.*", _plain, _without_key)
    with serving(FakeJobProvider(), in_front(plain)) as url:
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
    with serving(FakeJobProvider(), in_front(other)) as url:
        report = run(url, plan(only=["finalize-fields"]))

    assert report.passed
    assert report.of("finalize-fields").outcome is Outcome.PASSED
    assert report.of("finalize-fields").notes[0] == (
        'POST /api/clone/finalize {}: detail: ours says "voice_id is required.", this "That won\'t do."'
    )


def test_a_server_without_voices_is_given_one() -> None:
    """Modal has none until somebody clones one; then that is what speaks."""

    def none_builtin(x: Exchange) -> None:
        own = [voice for voice in x.json["voices"] if voice["source"] != "builtin"]
        x.set(voices=own)

    bare = Mutant("", "", "GET /api/voices", none_builtin)
    with serving(FakeDesigningJobProvider(), in_front(bare)) as url:
        report = run(url, plan(only=["history-line"]))

    assert report.passed
    assert report.of("clone-voice").outcome is Outcome.PASSED


def test_without_any_voice_nothing_is_spoken() -> None:
    """It doesn't apply, and says what would help."""
    bare = Mutant("", "", "GET /api/voices", lambda x: x.set(voices=[]))
    with serving(FakeJobProvider(), in_front(bare)) as url:
        report = run(url, plan(only=["task-completed", "health"]))

    assert report.of("task-completed").outcome is Outcome.NOT_APPLICABLE
    assert report.of("task-completed").reason == (
        "There is no voice to speak with. Name one with --voice."
    )


# --- servers that fail ---------------------------------------------------------------------------------


def test_what_an_earlier_case_did_not_get_is_missing_not_passed() -> None:
    """Nobody knows whether the audio is right when there is no speech."""
    broken = Mutant("", "", "POST /api/generate", lambda x: x.answer(503, {"detail": "No."}))
    with serving(FakeJobProvider(), in_front(broken)) as url:
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
    with serving(FakeJobProvider(), in_front(failed)) as url:
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


def test_what_is_no_server_of_this_kind_is_one_sentence() -> None:
    """A web site under a mistyped URL has hundreds of differences, and none of them says so."""

    async def site(scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<h1>Hello</h1>"})

    with (
        serving(FakeJobProvider(), lambda app: site) as url,
        pytest.raises(Unreachable, match=r"^There is no v1 server to test: .* /api is below\.$"),
    ):
        run(url)


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
