"""Scripted providers with a ledger of their own.

The ledger is what the vendor's bill would say: our code can't touch it, so tests read it to learn how often
somebody really paid. Both fakes pass :class:`ttsorch.testing.provider.ProviderSuite` like any real one.
"""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import anyio

from ttsorch.errors import Category, ProviderError, ProviderUnavailable, ResultExpired
from ttsorch.models import (
    Accepted,
    Attempt,
    AudioSource,
    AudioStream,
    CancelOutcome,
    Capabilities,
    CheckResult,
    Clip,
    Envelope,
    ErrorInfo,
    Failed,
    OnUnknown,
    Ready,
    Running,
    SpeechRequest,
    Ticket,
    Voice,
)
from ttsorch.testing.speech import a_voice, tone_wav


@dataclass(frozen=True, slots=True)
class MadeVoice:
    """One voice that was made and charged for. ``kind`` is the call that asked for it."""

    kind: str
    key: str
    id: str


@dataclass
class Ledger:
    """What really happened at the provider. ``accepted`` holds one attempt key per job that was taken,
    ``clips`` what recording came with each submit or clone, ``voices`` the voices that were made."""

    accepted: list[str] = field(default_factory=list)
    clips: list[Clip | None] = field(default_factory=list)
    voices: list[MadeVoice] = field(default_factory=list)
    submits: int = 0
    checks: int = 0
    fetches: int = 0
    cancels: list[str] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    def accepted_for(self, key: str) -> int:
        """How many jobs were taken for this attempt key."""
        return self.accepted.count(key)

    def accept(self, call: str, key: str) -> None:
        """A job is taken; from now on it costs."""
        self.accepted.append(key)
        if call != "submit":
            self.voices.append(MadeVoice(call, key, f"{call}-{len(self.voices) + 1}"))


#: A failure that a provider also reports when it only could not look.
DOUBT = ErrorInfo(Category.PROVIDER_UNAVAILABLE, "doubtful", "The job failed, or so it seems.")


@dataclass
class FakeJob:
    """One accepted job. ``failure`` is what its checks answer from then on, ``doubts`` how many more of them
    report :data:`DOUBT`, although nothing is wrong."""

    key: str
    checks_left: int
    failure: ErrorInfo | None = None
    doubts: int = 0
    cancelled: bool = False
    asked: int = 0


class Script:
    """What goes wrong, and when. Each entry is used once, in order; None lets one call pass.

    ``submit`` errors are raised before the job is accepted, ``submit_reply_lost`` ones after; likewise
    for ``clone`` and ``design``.
    """

    def __init__(self) -> None:
        self.submit: deque[Exception | None] = deque()
        self.submit_reply_lost: deque[Exception | None] = deque()
        self.clone: deque[Exception | None] = deque()
        self.clone_reply_lost: deque[Exception | None] = deque()
        self.design: deque[Exception | None] = deque()
        self.design_reply_lost: deque[Exception | None] = deque()
        self.check: deque[Exception | None] = deque()
        self.fetch: deque[Exception | None] = deque()
        self.cancel: deque[Exception | None] = deque()
        self.pause: Callable[[str], anyio.Event | None] = lambda _call: None

    async def before(self, call: str) -> None:
        """Wait where the test says so, then raise what is due."""
        await anyio.lowlevel.checkpoint()
        if event := self.pause(call):
            await event.wait()
        self.raise_due(call)

    def raise_due(self, call: str) -> None:
        due: deque[Exception | None] = getattr(self, call)
        if due and (error := due.popleft()):
            raise error


async def _in_chunks(audio: bytes, size: int) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(audio), size):
        await anyio.lowlevel.checkpoint()
        yield audio[start : start + size]


class FakeJobProvider:
    """A job provider: takes a job, runs for ``checks_until_ready`` checks, then has audio to fetch."""

    def __init__(
        self,
        name: str = "fake",
        *,
        checks_until_ready: int = 1,
        audio: bytes | None = None,
        words: Sequence[str] = ("running",),
        capabilities: Capabilities | None = None,
        expires_at: datetime | None = None,
    ) -> None:
        self.name = name
        self.capabilities = capabilities or Capabilities(max_text_chars=10_000, can_cancel=True)
        self.audio = tone_wav() if audio is None else audio
        self.chunk_size = 1024
        self.checks_until_ready = checks_until_ready
        self.words = words
        self.expires_at = expires_at
        self.ledger = Ledger()
        self.script = Script()
        self.jobs: dict[str, FakeJob] = {}
        self.closed = False

    async def submit(self, request: SpeechRequest, attempt: Attempt) -> Accepted:
        self.ledger.clips.append(request.clip)
        return await self._take("submit", attempt)

    async def _take(self, call: str, attempt: Attempt) -> Accepted:
        self.ledger.submits += 1
        await self.script.before(call)
        job_id = f"job-{len(self.jobs) + 1}"
        self.jobs[job_id] = FakeJob(attempt.key, self.checks_until_ready)
        self.ledger.accept(call, attempt.key)
        self.script.raise_due(f"{call}_reply_lost")
        return Accepted({"id": job_id})

    async def check(self, ticket: Ticket) -> CheckResult:
        self.ledger.checks += 1
        await self.script.before("check")
        job = self.jobs[str(ticket["id"])]
        job.asked += 1
        if job.failure:
            return Failed(job.failure)
        if job.doubts > 0:
            job.doubts -= 1
            return Failed(DOUBT, doubtful=True)
        if job.checks_left > 0:
            job.checks_left -= 1
            return Running(
                self.words[min(job.asked, len(self.words)) - 1], elapsed=float(job.asked)
            )
        return Ready({"id": str(ticket["id"])}, expires_at=self.expires_at)

    @asynccontextmanager
    async def _fetch(self, envelope: Envelope) -> AsyncIterator[AudioStream]:
        self.ledger.fetches += 1
        await self.script.before("fetch")
        if envelope.get("id") not in self.jobs:
            raise ResultExpired
        async with aclosing(_in_chunks(self.audio, self.chunk_size)) as chunks:
            yield AudioStream(chunks, "audio/wav", len(self.audio))

    def fetch(self, envelope: Envelope) -> AudioSource:
        return self._fetch(envelope)

    async def cancel(self, ticket: Ticket) -> CancelOutcome:
        self.ledger.cancels.append(str(ticket["id"]))
        await self.script.before("cancel")
        job = self.jobs.get(str(ticket["id"]))
        if job is None:
            return CancelOutcome.NOT_FOUND
        job.cancelled = True
        return CancelOutcome.CANCELLED

    async def voices(self) -> Sequence[Voice]:
        return (a_voice(self.name),)

    async def aclose(self) -> None:
        self.closed = True


class FakeDirectProvider:
    """A direct provider. With ``fetchable`` its answer is an envelope (as Qwen's URL is), else the bytes
    themselves (as the embedded engine's are)."""

    def __init__(
        self,
        name: str = "fake",
        *,
        fetchable: bool = False,
        audio: bytes | None = None,
        on_unknown: OnUnknown = OnUnknown.FAIL,
        capabilities: Capabilities | None = None,
    ) -> None:
        self.name = name
        self.capabilities = replace(
            capabilities or Capabilities(max_text_chars=10_000), direct=True, on_unknown=on_unknown
        )
        self.fetchable = fetchable
        self.audio = tone_wav() if audio is None else audio
        self.chunk_size = 1024
        self.ledger = Ledger()
        self.script = Script()
        self.closed = False

    async def submit(self, request: SpeechRequest, attempt: Attempt) -> Ready:
        self.ledger.clips.append(request.clip)
        await self._take("submit", attempt)
        return self._spoken(attempt)

    async def _take(self, call: str, attempt: Attempt) -> None:
        ledger = self.ledger
        ledger.submits += 1
        ledger.in_flight += 1
        ledger.most_in_flight = max(ledger.most_in_flight, ledger.in_flight)
        try:
            await self.script.before(call)
            ledger.accept(call, attempt.key)
            self.script.raise_due(f"{call}_reply_lost")
        finally:
            ledger.in_flight -= 1

    def _spoken(self, attempt: Attempt) -> Ready:
        if self.fetchable:
            return Ready({"key": attempt.key})
        return Ready(audio=self._open())

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[AudioStream]:
        self.ledger.fetches += 1
        await self.script.before("fetch")
        async with aclosing(_in_chunks(self.audio, self.chunk_size)) as chunks:
            yield AudioStream(chunks, "audio/wav", len(self.audio))

    def fetch(self, envelope: Envelope) -> AudioSource:
        return self._open()

    async def check(self, ticket: Ticket) -> CheckResult:
        raise ProviderUnavailable(detail="a direct provider has no jobs to ask about")

    async def cancel(self, ticket: Ticket) -> CancelOutcome:
        return CancelOutcome.UNSUPPORTED

    async def voices(self) -> Sequence[Voice]:
        return (a_voice(self.name),)

    async def aclose(self) -> None:
        self.closed = True


def lost_reply() -> ProviderError:
    """The error of a call that may have been accepted."""
    return ProviderUnavailable(ambiguous=True, detail="the connection broke before the reply")
