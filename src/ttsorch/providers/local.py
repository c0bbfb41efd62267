"""The embedded speech engine: espeak-ng, one child process per text.

Nothing to configure and nothing to pay, in over a hundred languages. A child that crashes, hangs or is
killed costs one attempt, never the server; it dies with the server, too (``_espeak/child``).
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Protocol, cast

from anyio import (
    BrokenResourceError,
    CancelScope,
    CapacityLimiter,
    move_on_after,
    open_process,
    to_thread,
)
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.lowlevel import RunVar

from ttsorch.errors import (
    ConfigurationError,
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    ValidationError,
)
from ttsorch.models import (
    Attempt,
    AudioSource,
    CancelOutcome,
    Capabilities,
    CheckResult,
    Envelope,
    OnUnknown,
    Ready,
    SpeechRequest,
    Ticket,
    Voice,
)
from ttsorch.providers._audio_in_hand import NoAudio
from ttsorch.providers._espeak.catalog import published, read_catalog
from ttsorch.providers._espeak.job import EngineJob, build_job
from ttsorch.providers._espeak.recording import Recording

_MAX_TEXT_CHARS = 10_000

# The slowest 10,000 characters found take 12 s of one idle core; a busy server gets twenty times that.
_PATIENCE_SECONDS = 30.0
_PATIENCE_PER_CHARACTER = 0.02

# How long a killed child may take to be gone; longer means that the kernel has it, not we.
_REAP_SECONDS = 5.0

_COMPLAINT_BYTES = 4096

# -S: the child needs nothing from site-packages, whose .pth files would cost it half its start.
_COMMAND = (sys.executable, "-I", "-S", str(Path(__file__).parent / "_espeak" / "child.py"))


class LocalProvider:
    """Speech from the engine in the ``espeakng-loader`` wheel (extra ``local``).

    ``options`` of a request: ``rate`` (words per minute, 80 to 450), ``pitch`` (0 to 99), ``volume``
    (percent, 0 to 200) and ``variant``, the name of one of the engine's timbres ("f2", "croak").

    Args:
        timeout: seconds that one text may take once its turn has come; None scales with its length.
        max_children: texts spoken at the same time; None is one per processor. The others wait.
        command: the program that speaks, for hosts whose ``sys.executable`` isn't Python.

    Raises:
        ConfigurationError: the engine isn't installed, or not completely.
    """

    name = "local"

    def __init__(
        self,
        *,
        timeout: float | None = None,
        max_children: int | None = None,
        command: Sequence[str] = _COMMAND,
    ) -> None:
        self._library, self._data = _locate_engine()
        try:
            self._catalog = read_catalog(Path(self._data))
        except OSError as error:
            raise _not_installed() from error
        self._voices = tuple(published(voice) for voice in self._catalog.voices)
        self._capabilities = Capabilities(
            max_text_chars=_MAX_TEXT_CHARS,
            direct=True,
            can_cancel=True,
            on_unknown=OnUnknown.RESUBMIT,
            languages=self._catalog.languages(),
            formats=("wav",),
            sample_rates=(22050,),
        )
        self._timeout = timeout
        self._command = tuple(command)
        self._max_children = max_children or os.cpu_count() or 1
        # A limiter belongs to one event loop; a provider may serve several, one after the other.
        self._turns: RunVar[CapacityLimiter] = RunVar("turns")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "LocalProvider":
        """The engine has no settings; ``environ`` is not read."""
        return cls()

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def voices(self) -> Sequence[Voice]:
        """All voices by name, with ids that are the same on every machine."""
        return self._voices

    def check_request(self, request: SpeechRequest) -> None:
        """Refuse options, voices and languages that the engine doesn't have.

        Raises:
            ValidationError: see :func:`~ttsorch.providers._espeak.job.build_job`.
        """
        build_job(request, self._catalog)

    async def submit(self, request: SpeechRequest, attempt: Attempt) -> Ready:
        """Speak the text. Cancelling this stops the engine.

        Raises:
            ProviderRejected: ``no_speech``, nothing in the text can be spoken; or what
                :meth:`check_request` would have said.
            ProviderTimeout: the engine was stopped at its deadline.
            ProviderUnavailable: it crashed (``engine_crashed``) or could not be run.
        """
        try:
            job = build_job(request, self._catalog)
        except ValidationError as error:
            raise ProviderRejected(error.message, code=error.code) from error
        async with self._turn():
            try:
                return Ready(audio=await self._record(job))
            except OSError as error:
                raise ProviderUnavailable(code="engine_not_run", detail=str(error)) from error

    async def check(self, ticket: Ticket) -> CheckResult:
        """There is nothing to ask: a direct engine gives no tickets."""
        raise ProviderUnavailable(
            code="no_such_job", detail="the local engine has no jobs", retryable=False
        )

    def fetch(self, envelope: Envelope) -> AudioSource:
        """There is nothing to fetch: entering it raises ``ResultExpired``, for a recording only exists
        until it was read."""
        return NoAudio()

    async def cancel(self, ticket: Ticket) -> CancelOutcome:
        """A direct engine gives no tickets: cancel the submit instead."""
        return CancelOutcome.UNSUPPORTED

    async def aclose(self) -> None:
        """Nothing outlives a submit."""

    def _turn(self) -> CapacityLimiter:
        try:
            return self._turns.get()
        except LookupError:
            self._turns.set(CapacityLimiter(self._max_children))
            return self._turns.get()

    async def _record(self, job: EngineJob) -> Recording:
        recording = await to_thread.run_sync(Recording)
        async with AsyncExitStack() as unless_finished:
            unless_finished.push_async_callback(recording.aclose)
            with move_on_after(self._patience(job)) as deadline:
                status, complaint = await self._run(job, recording)
            if deadline.cancelled_caught:
                raise ProviderTimeout(
                    detail="the engine was stopped at its deadline", ambiguous=False
                )
            if status != 0:
                raise _failure(status, complaint)
            await to_thread.run_sync(recording.rewind)
            unless_finished.pop_all()
        return recording

    def _patience(self, job: EngineJob) -> float:
        if self._timeout is not None:
            return self._timeout
        return _PATIENCE_SECONDS + _PATIENCE_PER_CHARACTER * len(job.text)

    async def _run(self, job: EngineJob, recording: Recording) -> tuple[int, str]:
        # Cut off in the middle of it, asyncio would leave a child that nobody waits for. Its own session,
        # because Ctrl-C in a terminal is for the server, which may want to finish.
        with CancelScope(shield=True):
            process = await open_process(
                self._command,
                stdin=subprocess.PIPE,
                stdout=recording.file,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        try:
            await self._send(job, cast("ByteSendStream", process.stdin))
            complaint = await _last_words(cast("ByteReceiveStream", process.stderr))
            return await process.wait(), complaint
        finally:
            await _end(process)

    async def _send(self, job: EngineJob, stdin: ByteSendStream) -> None:
        line = json.dumps({"library": self._library, "data": self._data, **asdict(job)})
        try:
            await stdin.send(line.encode() + b"\n")
        except (BrokenResourceError, OSError):
            # It died before it read its job; its exit status will say why.
            pass


class _Loader(Protocol):
    def get_library_path(self) -> str: ...
    def get_data_path(self) -> str: ...


def _locate_engine() -> tuple[str, str]:
    """The paths of the engine's library and of its data folder."""
    try:
        import espeakng_loader  # the optional extra
    except ImportError as error:
        raise _not_installed() from error
    loader: _Loader = espeakng_loader
    try:
        return loader.get_library_path(), loader.get_data_path()
    except RuntimeError as error:
        raise _not_installed() from error


def _not_installed() -> ConfigurationError:
    return ConfigurationError(
        "The local speech engine is not installed. Install it with: pip install 'ttsorch[local]'",
        code="engine_not_installed",
    )


async def _last_words(stderr: ByteReceiveStream) -> str:
    """The end of what the child complains about, read until it closes: a full pipe would stop it."""
    tail = b""
    async for chunk in stderr:
        tail = (tail + chunk)[-_COMPLAINT_BYTES:]
    return tail.decode(errors="replace")


async def _end(process: Process) -> None:
    """Leave no child and no zombie, whether it has finished or not, even while being cancelled."""
    with move_on_after(_REAP_SECONDS, shield=True):
        if process.returncode is None:
            process.kill()
        await process.wait()
        await process.aclose()


def _failure(status: int, complaint: str) -> ProviderError:
    code = _stated_code(complaint)
    if code == "no_speech":
        return ProviderRejected(
            "There is nothing in this text that can be spoken aloud.", code=code
        )
    return ProviderUnavailable(
        code=code or "engine_crashed", detail=f"exit status {status}: {complaint.strip()[-500:]}"
    )


def _stated_code(complaint: str) -> str | None:
    """The code of the JSON line that ends a child's complaint, unless it died without one."""
    try:
        stated = json.loads(complaint.strip().rpartition("\n")[2])
    except ValueError:
        return None
    code = stated.get("code") if isinstance(stated, dict) else None
    return code if isinstance(code, str) else None
