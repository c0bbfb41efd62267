"""The whole suite over our own handler, and what a run leaves behind."""

import threading
from collections.abc import Callable
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
    Result,
    plan,
    run_contract,
    shipped_cases,
)
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider
from ttsorch.testing.speech import tone_wav

MAKERS: list[Callable[[], FakeJobProvider | FakeDirectProvider]] = [
    FakeDesigningJobProvider,
    FakeCastingProvider,
    FakeJobProvider,
    FakeDirectProvider,
]


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
    with serving(FakeJobProvider(), in_front(stuck)) as url:
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


def test_a_voice_is_made_of_what_was_just_spoken() -> None:
    """Speech that is long enough is a better recording than a tone, and comes with what is said in it."""
    provider = FakeDesigningJobProvider(audio=tone_wav(3.5))
    sent: list[Any] = []

    def listen(x: Exchange) -> None:
        sent.append(x.sent if x.method == "PUT" else x.sent_json()["transcript"])

    front = in_front(Mutant("", "", "PUT|POST /api/(uploads/.*|clone/finalize)", listen))
    with serving(provider, front) as url:
        report = run(url, plan(only=["history-line", "audio-plays", "clone-voice"]))

    assert report.passed
    assert sent[0] == provider.audio
    assert sent[1].endswith("Äpfel & 100% tea_time, isn't it? One, two, three, four.")
