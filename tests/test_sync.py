"""The blocking face: the same verbs, from any thread, and nothing left behind."""

import inspect
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest

from ttsorch.config import Config, open_orchestrator
from ttsorch.errors import (
    InternalError,
    NotFound,
    ProviderBusy,
    StorageUnavailable,
    ValidationError,
)
from ttsorch.models import Job, SpeechRequest, Status, VoiceSource
from ttsorch.orchestrator import Orchestrator
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.sync import SyncOrchestrator
from ttsorch.testing.fake_voices import FakeCastingProvider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider, lost_reply
from ttsorch.testing.speech import a_request, a_voice, tone_wav

OWNER = "ann"
Backend = Literal["asyncio", "trio"]


def over_fakes(provider: FakeJobProvider | FakeDirectProvider | None = None) -> Orchestrator:
    """An orchestrator over hand-made parts, each made where it is called."""
    return Orchestrator(
        provider=provider or FakeJobProvider(),
        tasks=(store := MemoryTaskStore()),
        voices=store,
        blobs=MemoryBlobStore(),
        background=False,
    )


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Both event loops."""
    chosen: Backend = request.param
    return chosen


@pytest.fixture
def speech(backend: Backend) -> Iterator[SyncOrchestrator]:
    """A running one, over a job provider that is ready at the second check."""
    with SyncOrchestrator(over_fakes, backend=backend) as running:
        yield running


def finished(speech: SyncOrchestrator, job: Job) -> Job:
    """The job after as many polls as it takes."""
    while not job.task.status.terminal:
        job = speech.poll_once(job.task.id, owner=OWNER)
    return job


def loop_threads() -> set[str]:
    """The threads that run event loops; trio keeps its worker threads for a while."""
    return {thread.name for thread in threading.enumerate() if "portal" in thread.name}


def verbs(cls: type) -> dict[str, inspect.Signature]:
    """The public methods that act on tasks, voices and generations."""
    return {
        name: inspect.signature(method)
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_") and name not in ("run", "begin", "start", "close", "using")
    }


def test_every_verb_has_the_same_signature_as_the_async_one() -> None:
    """Nothing is missing, renamed, reordered or typed differently."""
    assert verbs(SyncOrchestrator) == verbs(Orchestrator)


def test_a_job_goes_all_the_way(speech: SyncOrchestrator) -> None:
    """Submit, poll, and what it left: a task, a generation, audio."""
    job = finished(speech, speech.submit(a_request(), owner=OWNER, idempotency_key="once"))
    [listed] = speech.list_tasks(owner=OWNER, active=False)

    assert job.task.status is Status.COMPLETED
    assert job.generation is not None
    assert speech.get_generation(job.generation.id, owner=OWNER) == job.generation
    assert speech.history(owner=OWNER, search="hello").items == (job.generation,)
    assert speech.get(job.task.id, owner=OWNER).task.id == listed.task.id
    assert speech.submit(a_request(), owner=OWNER, idempotency_key="once").task.id == job.task.id
    assert speech.finalize(job.task.id, owner=OWNER).task.audio == job.task.audio
    assert speech.now() >= job.task.updated_at


def test_a_job_can_be_stepped_swept_cancelled_and_deleted(speech: SyncOrchestrator) -> None:
    """The verbs of workers and of users with second thoughts."""
    job = speech.submit(a_request(), owner=OWNER)
    speech.step(job.task.id, owner=OWNER)
    cancelled = speech.cancel(job.task.id, owner=OWNER)
    speech.delete_task(job.task.id, owner=OWNER)
    speech.delete_generation(cancelled.task.generation_id or "", owner=OWNER)

    assert cancelled.task.status is Status.CANCELLED
    assert speech.sweep_once().failed == 0
    assert speech.list_tasks(owner=OWNER) == []
    assert speech.history(owner=OWNER).total == 0
    assert speech.collect_orphans() == []


def test_what_is_old_and_what_an_owner_has_is_purged(speech: SyncOrchestrator) -> None:
    """The verbs of whoever keeps the database small, and of the right to be forgotten."""
    finished(speech, speech.submit(a_request(), owner=OWNER))
    speech.submit(a_request(), owner=OWNER)

    assert speech.purge(older_than=3600).tasks == 0
    assert speech.purge(older_than=0).tasks == 1
    assert speech.history(owner=OWNER).total == 2
    assert speech.purge_owner(OWNER).done
    assert speech.history(owner=OWNER).total == 0


def test_voices_are_listed_and_found(speech: SyncOrchestrator) -> None:
    """Those of the provider's catalog, here."""
    assert list(speech.builtin_voices()) == [a_voice()]
    assert speech.find_voice(a_voice().id, owner=OWNER) == a_voice()


def test_voices_are_made_saved_and_deleted(backend: Backend) -> None:
    """From a recording, and from a description; the recording may come as bytes or in pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        await anyio.lowlevel.checkpoint()
        yield tone_wav()

    with SyncOrchestrator(lambda: over_fakes(FakeCastingProvider()), backend=backend) as speech:
        cloned = []
        for voice_id, audio in ((str(uuid.uuid4()), tone_wav()), (str(uuid.uuid4()), pieces())):
            speech.upload_clip(voice_id, audio, owner=OWNER)
            voice = speech.clone_voice(
                voice_id,
                name="Vera",
                owner=OWNER,
                language="de",
                transcript="Hallo.",
                source=VoiceSource.DESIGNED,
                description="Calm.",
            )
            cloned.append(voice)
            assert speech.find_voice(voice_id, owner=OWNER) == voice
        asked = {"text": "Hear me.", "description": "Calm.", "name": "Carl", "language": "de"}
        preview = speech.preview_design(**asked, owner=OWNER, idempotency_key="once")
        again = speech.preview_design(**asked, owner=OWNER, idempotency_key="once")
        job = finished(speech, preview)
        designed = speech.save_design(job.task.id, owner=OWNER, name="Charles")
        speech.delete_voice(designed.id, owner=OWNER)
        with pytest.raises(NotFound):
            speech.find_voice(designed.id, owner=OWNER)

    assert again.task.id == preview.task.id
    assert [voice.provider_voice_id for voice in cloned] == ["clone-1", "clone-2"]
    assert {
        (v.name, v.language, v.reference_transcript, v.source, v.description) for v in cloned
    } == {("Vera", "de", "Hallo.", VoiceSource.DESIGNED, "Calm.")}
    assert (job.task.voice.name, job.task.voice.language) == ("Carl", "de")
    assert (designed.name, designed.provider_voice_id) == ("Charles", "design-3")


def test_operators_find_calls_that_were_never_answered(backend: Backend) -> None:
    """Of all owners, oldest first, and no more than they asked for."""
    (provider := FakeJobProvider()).script.submit_reply_lost.extend([lost_reply(), lost_reply()])
    with SyncOrchestrator(lambda: over_fakes(provider), backend=backend) as speech:
        lost = [speech.submit(a_request(), owner=owner).task.id for owner in (OWNER, "bob")]
        speech.submit(a_request(), owner=OWNER)
        every = [job.task.id for job in speech.list_unknown()]
        some = [job.task.id for job in speech.list_unknown(limit=1)]

    assert every == lost
    assert some == lost[:1]


def test_operators_see_and_end_pauses_and_what_is_stuck(backend: Backend) -> None:
    """As with the orchestrator that is awaited."""
    with SyncOrchestrator(lambda: over_fakes(FakeJobProvider()), backend=backend) as speech:
        speech.pause_provider("fake", seconds=60)
        paused = [pause.provider for pause in speech.list_pauses()]
        with pytest.raises(ProviderBusy):
            speech.submit(a_request(), owner=OWNER)
        ended = speech.end_pause("fake"), speech.end_pause("fake")
        stuck = speech.list_stuck()

    assert (paused, ended, list(stuck)) == (["fake"], (True, False), [])


def test_anything_can_be_awaited_beside_the_orchestrator(speech: SyncOrchestrator) -> None:
    """What an adapter needs: a handler's coroutine, on the loop that the parts belong to."""

    async def handle(orchestrator: Orchestrator) -> str:
        await anyio.lowlevel.checkpoint()
        return orchestrator.provider.name

    assert speech.run(handle) == "fake"


@pytest.mark.parametrize(
    ("fail", "error"),
    [
        (lambda speech: speech.get("nonsense", owner=OWNER), NotFound),
        (lambda speech: speech.submit(a_request(" "), owner=OWNER), ValidationError),
    ],
)
def test_errors_come_through_as_they_are(
    speech: SyncOrchestrator,
    fail: Callable[[SyncOrchestrator], object],
    error: type[Exception],
) -> None:
    """No exception group, no wrapper; and the next call works."""
    with pytest.raises(error):
        fail(speech)

    assert speech.list_tasks(owner=OWNER) == []


def test_a_call_can_be_begun_and_waited_for_later(speech: SyncOrchestrator) -> None:
    """Meanwhile the thread has something else to do; here, what the call waits for."""
    heard = threading.Event()

    async def listen(orchestrator: Orchestrator) -> str:
        await anyio.to_thread.run_sync(heard.wait)
        return orchestrator.provider.name

    future = speech.begin(listen)
    assert not future.done()
    heard.set()
    assert future.result(30) == "fake"


def test_a_begun_call_can_be_cancelled(speech: SyncOrchestrator) -> None:
    """It ends, and isn't only forgotten."""
    began, ended = threading.Event(), threading.Event()

    async def wait_for_ever(orchestrator: Orchestrator) -> None:
        try:
            began.set()
            await anyio.sleep_forever()
        finally:
            ended.set()

    future = speech.begin(wait_for_ever)
    assert began.wait(30)
    future.cancel()
    assert ended.wait(30)


def test_sixteen_threads_share_one(tmp_path: Path, backend: Backend) -> None:
    """Each submits and polls its own jobs over one SQLite file; no job is lost, doubled or mixed up."""

    config = Config(database_url=f"sqlite:///{tmp_path}/tasks.db", blob_url="memory://")
    everybody = threading.Barrier(16)

    def work(number: int) -> str:
        everybody.wait()
        request = SpeechRequest(f"Text {number}", shared.builtin_voices()[0])
        job = shared.submit(request, owner=f"owner-{number}")
        job = shared.cancel(job.task.id, owner=f"owner-{number}")
        assert job.generation is not None
        return job.generation.text

    with (
        SyncOrchestrator(lambda: open_orchestrator(config), backend=backend) as shared,
        ThreadPoolExecutor(16) as pool,
    ):
        texts = list(pool.map(work, range(16)))
        totals = [shared.history(owner=f"owner-{number}").total for number in range(16)]

    assert texts == [f"Text {number}" for number in range(16)]
    assert totals == [1] * 16


# --- lifecycle ----------------------------------------------------------------------------------------


def test_calls_before_the_start_and_after_the_close_say_so(backend: Backend) -> None:
    """With one named error; never a hang. Closing twice is harmless."""
    speech = SyncOrchestrator(over_fakes, backend=backend)
    with pytest.raises(InternalError) as early:
        speech.sweep_once()
    with speech:
        speech.sweep_once()
    speech.close()
    with pytest.raises(InternalError) as late:
        speech.sweep_once()
    with pytest.raises(InternalError):
        speech.now()

    assert (early.value.code, late.value.code) == ("not_running", "not_running")


def test_a_second_start_is_refused(speech: SyncOrchestrator) -> None:
    """And leaves the first one running."""
    with pytest.raises(InternalError) as caught:
        speech.start()

    assert caught.value.code == "already_running"
    assert speech.list_tasks(owner=OWNER) == []


def test_it_starts_again_after_a_close(backend: Backend) -> None:
    """Each start opens anew, and each close ends the thread."""
    speech = SyncOrchestrator(over_fakes, backend=backend)
    threads = loop_threads()
    for _ in range(2):
        with speech:
            assert speech.list_tasks(owner=OWNER) == []
            speech.submit(a_request(), owner=OWNER)

    assert loop_threads() == threads


def test_what_cannot_be_opened_leaves_nothing_running(backend: Backend) -> None:
    """The error is the opener's own, and a later start may succeed."""
    threads = loop_threads()
    failures = [StorageUnavailable(code="down")]

    @asynccontextmanager
    async def open_it() -> AsyncIterator[Orchestrator]:
        if failures:
            raise failures.pop()
        async with over_fakes() as opened:
            yield opened

    speech = SyncOrchestrator(open_it, backend=backend)
    with pytest.raises(StorageUnavailable, match=r".") as caught:
        speech.start()

    assert caught.value.code == "down"
    assert loop_threads() == threads
    with speech:
        assert speech.list_tasks(owner=OWNER) == []


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt, SystemExit])
def test_an_error_inside_the_with_block_closes_everything(
    backend: Backend, error: type[BaseException]
) -> None:
    """It comes out as it is, whatever kind it is, after the parts were closed."""
    closed: list[str] = []

    @asynccontextmanager
    async def open_it() -> AsyncIterator[Orchestrator]:
        try:
            async with over_fakes() as opened:
                yield opened
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                closed.append("parts")

    with pytest.raises(error), SyncOrchestrator(open_it, backend=backend):
        raise error

    assert closed == ["parts"]


def test_an_error_of_closing_comes_out(backend: Backend) -> None:
    """A store that can't finish its writing must not look as if it had."""

    @asynccontextmanager
    async def open_it() -> AsyncIterator[Orchestrator]:
        async with over_fakes() as opened:
            yield opened
        raise StorageUnavailable

    with pytest.raises(StorageUnavailable), SyncOrchestrator(open_it, backend=backend):
        pass


def test_a_call_that_waits_while_it_is_closed_is_told(backend: Backend) -> None:
    """Another thread's close ends the wait with the named error instead of leaving it hanging."""
    waiting = threading.Event()

    async def wait_for_ever(orchestrator: Orchestrator) -> None:
        waiting.set()
        await anyio.sleep_forever()

    speech = SyncOrchestrator(over_fakes, backend=backend)
    speech.start()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(speech.run, wait_for_ever)
        assert waiting.wait(30)
        speech.close()
        error = call.exception(30)

    assert isinstance(error, InternalError)
    assert error.code == "not_running"


def test_a_call_that_has_hardly_begun_is_told_too(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A close between the call's start and its wait for the answer must not leave it waiting for ever."""
    speech = SyncOrchestrator(over_fakes, backend=backend)
    speech.start()
    portal = speech._get_running().portal
    start_task_soon = portal.start_task_soon
    closed: list[bool] = []

    def start_and_close(*arguments: Any) -> Any:
        future = start_task_soon(*arguments)
        if not closed:
            closed.append(True)
            speech.close()
        return future

    monkeypatch.setattr(portal, "start_task_soon", start_and_close)
    with pytest.raises(InternalError) as caught:
        speech.run(lambda orchestrator: anyio.sleep_forever())

    assert caught.value.code == "not_running"


def test_a_call_that_begins_during_a_close_is_told(speech: SyncOrchestrator) -> None:
    """The loop takes no more calls once it has begun to close."""
    service = speech._get_running().service

    async def close_and_call(orchestrator: Orchestrator) -> None:
        service.close()
        await service.attend(lambda orchestrator: anyio.sleep_forever())

    with pytest.raises(InternalError) as caught:
        speech.run(close_and_call)

    assert caught.value.code == "not_running"


def test_a_call_from_its_own_loop_is_refused_instead_of_hanging(speech: SyncOrchestrator) -> None:
    """It could only wait for itself."""

    async def call_back(orchestrator: Orchestrator) -> None:
        speech.sweep_once()

    with pytest.raises(RuntimeError, match="event loop thread"):
        speech.run(call_back)


def test_a_call_that_loses_against_a_close_is_told(
    speech: SyncOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop may stop after the call has looked whether it runs."""
    running = speech._get_running()

    def stopped(*arguments: object) -> None:
        speech._running = None
        raise RuntimeError("This portal is not running")

    with monkeypatch.context() as patch:
        patch.setattr(running.portal, "start_task_soon", stopped)
        with pytest.raises(InternalError) as caught:
            speech.sweep_once()
    speech._running = running

    assert caught.value.code == "not_running"


def test_ctrl_c_while_waiting_cancels_the_wait_and_leaves_all_healthy(backend: Backend) -> None:
    """A poll that hangs in its provider: the interrupt comes out, and the next call works."""
    provider = FakeDirectProvider()

    def pause(call: str) -> anyio.Event | None:
        os.kill(os.getpid(), signal.SIGINT)
        return anyio.Event()

    with SyncOrchestrator(lambda: over_fakes(provider), backend=backend) as speech:
        job = speech.submit(a_request(), owner=OWNER)
        provider.script.pause = pause
        with pytest.raises(KeyboardInterrupt):
            speech.poll_once(job.task.id, owner=OWNER)
        provider.script.pause = lambda call: None
        after = speech.cancel(job.task.id, owner=OWNER)

    assert after.task.status is Status.CANCELLED
    assert provider.ledger.in_flight == 0


def test_an_interrupted_wait_cancels_its_call(
    speech: SyncOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever pressed Ctrl-C is not waiting any more, so nobody works for them any more."""
    portal = speech._get_running().portal
    start_task_soon = portal.start_task_soon
    ended = threading.Event()

    def interrupt() -> None:
        raise KeyboardInterrupt

    def start_and_interrupt(*arguments: Any) -> Any:
        future = start_task_soon(*arguments)
        monkeypatch.setattr(future, "result", interrupt)
        return future

    async def wait_for_ever(orchestrator: Orchestrator) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    with monkeypatch.context() as patch:
        patch.setattr(portal, "start_task_soon", start_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            speech.run(wait_for_ever)

    assert ended.wait(30)


FORKED = """
import os, sys
from tests.test_sync import over_fakes
from ttsorch.errors import InternalError
from ttsorch.sync import SyncOrchestrator

with SyncOrchestrator(over_fakes) as speech:
    child = os.fork()
    if child == 0:
        try:
            speech.sweep_once()
        except InternalError as error:
            speech.close()
            os._exit(7 if error.code == "not_running" else 1)
        os._exit(1)
    status = os.waitpid(child, 0)[1]
    speech.sweep_once()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_worker_is_told_to_start_its_own() -> None:
    """The loop's thread doesn't exist in the child, where a call could only hang."""
    done = subprocess.run([sys.executable, "-c", FORKED], timeout=60, check=False)

    assert done.returncode == 7


LEFT = """
import gc, os, sys
from tests.test_sync import over_fakes
from ttsorch.sync import SyncOrchestrator

speech = SyncOrchestrator(over_fakes)
speech.start()
child = os.fork()
if child == 0:
    {what}
    sys.exit(7)
status = os.waitpid(child, 0)[1]
speech.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize(
    "what", ["pass", "speech.close(); gc.collect()", "del speech; gc.collect()"]
)
def test_a_forked_worker_ends_whatever_it_does_with_the_parents(what: str) -> None:
    """It closes it, drops it, or never looks at it: nothing waits for a thread that isn't there."""
    script = LEFT.format(what=what)
    done = subprocess.run([sys.executable, "-c", script], timeout=30, check=False)

    assert done.returncode == 7


def test_a_running_one_belongs_to_the_process_that_started_it(
    speech: SyncOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, seen from inside: the error names the fork."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(InternalError) as caught:
            speech.sweep_once()

    assert "forked" in (caught.value.detail or "")
