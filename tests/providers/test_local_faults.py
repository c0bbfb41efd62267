"""What can go wrong with the child that speaks, and what is left behind then: nothing."""

import asyncio
import gc
import os
import signal
import sys
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

import ttsorch.providers._espeak.child as child_module
from tests.providers.recordings import engine_voice, measure, speak
from ttsorch.errors import (
    CorruptResult,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    ResultExpired,
)
from ttsorch.models import Attempt, SpeechRequest
from ttsorch.providers._espeak.job import build_job
from ttsorch.providers.local import LocalProvider
from ttsorch.testing.held import assert_released, held

pytestmark = pytest.mark.anyio

REQUEST = SpeechRequest("hello", engine_voice())

# A child that tells its process id and then never ends.
HANG = """
import os, sys, time
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(3600)
"""

# The real child, except that its engine never comes back.
STUCK_ENGINE = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("child", {child_module.__file__!r})
child = importlib.util.module_from_spec(spec)
spec.loader.exec_module(child)
def speak(engine, job, output):
    exec({HANG!r})
child.speak = speak
child.main()
"""

# A server that speaks with the command in its arguments.
PARENT = """
import sys, anyio
from ttsorch.models import Attempt, SpeechRequest, Voice
from ttsorch.providers.local import LocalProvider
voice = Voice("", "", "local", provider_voice_id="gmw/en")
provider = LocalProvider(command=sys.argv[1:])
anyio.run(provider.submit, SpeechRequest("hello", voice), Attempt("key"))
"""


def child(program: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", program, *arguments)


def running(pid: int) -> bool:
    """Whether the process exists; a zombie does."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def working(pid: int) -> bool:
    """Whether the process still does anything. An orphan's zombie is its new parent's business."""
    try:
        return running(pid) and ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await anyio.sleep(0.01)
    pytest.fail("it did not happen in time")


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    before = held()
    yield
    gc.collect()
    await assert_released(before)


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("import os; os.kill(os.getpid(), 11)", "engine_crashed"),
        ("import sys; print('RIFF....WAVE' * 999); sys.exit(7)", "engine_crashed"),
        ("raise SystemExit(7)", "engine_crashed"),
        ("import os; os.close(0); os._exit(7)", "engine_crashed"),
        ("import sys; sys.exit('[]')", "engine_crashed"),
        ("import sys; sys.exit('{\"code\": 7}')", "engine_crashed"),
        ('import sys; sys.exit(\'chatter\\n{"code": "voice_missing"}\')', "voice_missing"),
    ],
)
async def test_a_child_that_fails_is_a_provider_that_is_unavailable(
    program: str, code: str
) -> None:
    """A crash or an error exit fails one attempt, may be retried, and leaves nothing behind."""
    provider = LocalProvider(command=child(program))

    async with nothing_left():
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.submit(REQUEST, Attempt("key"))

    assert caught.value.code == code
    assert caught.value.retryable
    assert not caught.value.ambiguous


async def test_a_child_that_does_not_read_its_job_fails_one_attempt() -> None:
    """When the child dies before it took all of a long job, its exit is what counts."""
    provider = LocalProvider(command=child("raise SystemExit(7)"))
    long = SpeechRequest("\xe9" * 50_000, engine_voice())

    async with nothing_left():
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.submit(long, Attempt("key"))

    assert caught.value.code == "engine_crashed"
    assert "exit status 7" in str(caught.value.detail)


@pytest.mark.parametrize(
    "program",
    [
        "",
        "print('<html>' * 99)",
        "import sys; sys.stdout.buffer.write(b'RIFF\\x24\\0\\0\\0WAVE' + bytes(32))",
    ],
    ids=["nothing", "html", "header only"],
)
async def test_output_that_is_no_recording_is_refused(program: str) -> None:
    """A child that ends well without a WAV with samples has not spoken."""
    provider = LocalProvider(command=child(program))

    async with nothing_left():
        with pytest.raises(CorruptResult):
            await provider.submit(REQUEST, Attempt("key"))


async def test_a_flood_of_complaints_does_not_stop_the_child() -> None:
    """Megabytes on standard error are drained, and only their end is kept for the operator."""
    flood = "import sys; sys.stderr.write('x' * 5_000_000); sys.exit('\\n{\"code\": \"drowned\"}')"

    with pytest.raises(ProviderUnavailable) as caught:
        await LocalProvider(command=child(flood)).submit(REQUEST, Attempt("key"))

    assert caught.value.code == "drowned"
    assert len(caught.value.detail or "") < 1000


async def test_a_program_that_cannot_start_is_unavailable() -> None:
    """A command that doesn't exist is the provider's failure, not a crash of ours."""
    async with nothing_left():
        with pytest.raises(ProviderUnavailable) as caught:
            await LocalProvider(command=("/nowhere/speaks",)).submit(REQUEST, Attempt("key"))

    assert caught.value.code == "engine_not_run"


async def test_a_hanging_child_is_stopped_at_the_deadline(tmp_path: Path) -> None:
    """After the timeout the child is gone, reaped, and the attempt timed out."""
    pid_file = tmp_path / "pid"
    provider = LocalProvider(timeout=1, command=child(HANG, str(pid_file)))

    async with nothing_left():
        with pytest.raises(ProviderTimeout):
            await provider.submit(REQUEST, Attempt("key"))

    assert not running(int(pid_file.read_text()))


async def test_a_longer_text_gets_more_time() -> None:
    """Without a timeout of the host's own, the deadline grows with the text."""
    provider = LocalProvider()
    short, long = (SpeechRequest(text, engine_voice()) for text in ("a", "a" * 10_000))
    jobs = [build_job(request, provider._catalog) for request in (short, long)]

    assert 30 < provider._patience(jobs[0]) < 31
    assert 230 <= provider._patience(jobs[1]) < 240


async def test_a_cancelled_submit_kills_its_child(tmp_path: Path) -> None:
    """Cancelling the submit ends the child within a second and leaves no zombie."""
    pid_file = tmp_path / "pid"
    provider = LocalProvider(command=child(HANG, str(pid_file)))

    async with nothing_left():
        async with anyio.create_task_group() as group:
            group.start_soon(provider.submit, REQUEST, Attempt("key"))
            await until(pid_file.exists)
            group.cancel_scope.cancel()

        await until(lambda: not running(int(pid_file.read_text())), seconds=1)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancelled_asyncio_task_kills_its_child(tmp_path: Path) -> None:
    """Plain asyncio cancellation, as web frameworks do it, ends the child as well."""
    pid_file = tmp_path / "pid"
    provider = LocalProvider(command=child(HANG, str(pid_file)))

    async with nothing_left():
        task = asyncio.create_task(provider.submit(REQUEST, Attempt("key")))
        await until(pid_file.exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        await until(lambda: not running(int(pid_file.read_text())), seconds=1)


async def test_an_interrupt_in_the_terminal_is_not_for_the_child(tmp_path: Path) -> None:
    """The child is in a session of its own: Ctrl-C reaches the server, which decides what to finish."""
    pid_file = tmp_path / "pid"
    provider = LocalProvider(command=child(HANG, str(pid_file)))

    async with anyio.create_task_group() as group:
        group.start_soon(provider.submit, REQUEST, Attempt("key"))
        await until(pid_file.exists)
        session = os.getsid(int(pid_file.read_text()))
        group.cancel_scope.cancel()

    assert session != os.getsid(0)


async def test_a_child_killed_from_outside_fails_one_attempt(tmp_path: Path) -> None:
    """When an operator or the kernel kills the child, the submit says so at once."""
    pid_file = tmp_path / "pid"
    provider = LocalProvider(command=child(HANG, str(pid_file)))
    errors: list[ProviderError] = []

    async def submit() -> None:
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.submit(REQUEST, Attempt("key"))
        errors.append(caught.value)

    async with nothing_left(), anyio.create_task_group() as group:
        group.start_soon(submit)
        await until(pid_file.exists)
        os.kill(int(pid_file.read_text()), signal.SIGKILL)

    assert errors[0].code == "engine_crashed"
    assert "-9" in str(errors[0].detail)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    """Kill -9 of the server ends the child too, even while the engine never comes back."""
    pid_file = tmp_path / "pid"
    stuck = child(STUCK_ENGINE, str(pid_file))
    async with await anyio.open_process([sys.executable, "-c", PARENT, *stuck]) as parent:
        await until(pid_file.exists, seconds=30)
        assert working(int(pid_file.read_text()))
        parent.kill()

    await until(lambda: not working(int(pid_file.read_text())), seconds=5)


async def test_only_so_many_children_speak_at_once(tmp_path: Path) -> None:
    """Further texts wait for their turn instead of starving each other."""
    alone = """
import os, sys, time, wave
os.mkdir(sys.argv[1])
time.sleep(0.05)
os.rmdir(sys.argv[1])
with wave.open(sys.stdout.buffer, "wb") as file:
    file.setparams((1, 2, 8000, 0, "NONE", ""))
    file.writeframes(bytes(16))
"""
    provider = LocalProvider(max_children=1, command=child(alone, str(tmp_path / "turn")))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(speak, provider, REQUEST)


async def test_audio_that_nobody_opens_leaves_no_file() -> None:
    """A recording that is dropped unread is closed without a complaint."""
    provider = LocalProvider()

    async with nothing_left():
        ready = await provider.submit(REQUEST, Attempt("key"))
        dropped = weakref.ref(ready.audio)
        del ready
        gc.collect()
        assert dropped() is None


async def test_a_reader_may_stop_half_way() -> None:
    """Leaving the audio after its first piece closes the file."""
    provider = LocalProvider()

    async with nothing_left():
        ready = await provider.submit(REQUEST, Attempt("key"))
        assert ready.audio is not None
        async with ready.audio as stream:
            first = await anext(stream.chunks)

    assert first.startswith(b"RIFF")


async def test_a_recording_is_read_once() -> None:
    """Opening it again says that it is gone, as the models promise."""
    ready = await LocalProvider().submit(REQUEST, Attempt("key"))
    assert ready.audio is not None
    async with ready.audio:
        pass

    with pytest.raises(ResultExpired):
        await ready.audio.__aenter__()


async def test_many_recordings_leave_nothing() -> None:
    """After a burst of texts no child and no file is left."""
    provider = LocalProvider()

    async with nothing_left(), anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(speak, provider, REQUEST)


async def test_the_installation_may_lie_deep(tmp_path: Path) -> None:
    """The engine cuts paths at 160 bytes; ours may be longer."""
    provider = LocalProvider()
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    (deep / "data").symlink_to(provider._data)
    provider._data = str(deep / "data")

    assert measure(await speak(provider, REQUEST)).duration > 0.2
