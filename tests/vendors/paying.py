"""An orchestrator that pays a fake vendor over real sockets, and the audit: its rows against the bill."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio

from tests.vendors.on_sockets import (
    Call,
    Vendor,
    a_clip,
    a_modal_voice,
    a_provider,
    a_short_clip,
    a_vendor,
    hashed_speaker,
    in_one,
)
from ttsorch._keys import clip_key
from ttsorch.errors import BlobExists, TtsorchError
from ttsorch.models import Job, OnUnknown, Policy, SpeechRequest, Status
from ttsorch.orchestrator import Orchestrator
from ttsorch.protocols import BlobStore, Provider, TaskStore
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.invariants import check_rows
from ttsorch.testing.vendor_ledger import AcceptedJob

POLICY = Policy(shutdown_grace=0.05, commit=2.0, insist=2.0)
# Long enough for every backoff, the grace period and both deadlines to pass, one after the other.
_TIMES = (1, 2, 5, 20, 20, 60, 120, 120, 600, 3600, 60, 60)


@dataclass(frozen=True, slots=True)
class Sale:
    """One wish of one owner. ``label`` is what the bill says."""

    owner: str
    label: str

    @property
    def voice_id(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, self.label))


@dataclass
class Till:
    """One orchestrator over memory stores. It sells one kind of call, each to an owner of its own."""

    call: Call
    vendor: Vendor
    tts: Orchestrator
    tasks: TaskStore
    blobs: BlobStore
    clock: ManualClock
    sales: list[Sale] = field(default_factory=list)
    #: Labels of sales that the vendor itself said it had begun and not finished: nothing is in doubt.
    confessed: set[str] = field(default_factory=set)

    async def sell(self, *, polls: int = 2) -> Sale:
        """Ask for one, as often as an impatient user does, and look at it ``polls`` times."""
        number = len(self.sales)
        sale = Sale(f"owner-{number}", f"sale_{number:06}")
        self.sales.append(sale)
        await self._order(sale)
        for _ in range(polls):
            for job in await self.tasks.list_tasks(sale.owner, active=True):
                await self.tts.poll_once(job.task.id, owner=sale.owner)
        return sale

    async def _order(self, sale: Sale) -> None:
        if self.call is Call.QWEN_CLONE:
            await self._clone(sale)
        elif self.call in (Call.MODAL_DESIGN, Call.QWEN_DESIGN):
            for _ in range(2):
                await self.tts.preview_design(
                    text=sale.label, description=sale.label, owner=sale.owner, idempotency_key="k"
                )
        else:
            request = await self._request(sale)
            for _ in range(2):
                await self.tts.submit(request, owner=sale.owner, idempotency_key="k")

    async def _clone(self, sale: Sale) -> None:
        for _ in range(2):
            asked: tuple[Callable[..., Awaitable[object]], ...] = (
                partial(self.tts.upload_clip, sale.voice_id, a_clip()),
                partial(self.tts.clone_voice, sale.voice_id, name=sale.label, language="English"),
            )
            for ask in asked:
                try:
                    await ask(owner=sale.owner)
                except TtsorchError:
                    continue

    async def _request(self, sale: Sale) -> SpeechRequest:
        if not self.call.of_modal:
            return SpeechRequest(sale.label, (await self.tts.builtin_voices())[0], "English")
        key = clip_key(sale.owner, "voice", "wav")
        try:
            await self.blobs.put(key, in_one(a_short_clip()), "audio/wav")
        except BlobExists:
            pass
        return SpeechRequest(sale.label, a_modal_voice(sale.owner, key), "English")

    async def jobs_of(self, sale: Sale) -> list[Job]:
        return list(await self.tasks.list_tasks(sale.owner))

    async def job_of(self, sale: Sale) -> Job:
        (job,) = await self.jobs_of(sale)
        return job

    def accepted(self, sale: Sale) -> list[AcceptedJob]:
        return [job for job in self.vendor.ledger.accepted if job.text == sale.label]

    async def end_pauses(self) -> None:
        """So that what one sale was told is not the next one's."""
        for pause in await self.tasks.list_pauses():
            await self.tasks.end_pause(pause.provider)

    async def settle(self) -> None:
        """Let time go by until every deadline has passed, with a sweep whenever one is due."""
        for seconds in _TIMES:
            self.clock.advance(seconds)
            while (await self.tts.sweep_once()).stepped:
                pass

    async def audit(self) -> None:
        """Settle, ask for everything once more, and compare every row with the bill: I1, I3, I5, I6, I13
        and I15 of the invariants."""
        await self.settle()
        for sale in self.sales:
            await self._order(sale)
        await self.settle()
        assert self.vendor.without_defects()
        assert {job.text for job in self.vendor.ledger.accepted} <= {
            sale.label for sale in self.sales
        }
        unknown = {job.task.id for job in await self.tasks.list_unknown(limit=100_000)}
        for sale in self.sales:
            await self._audit(sale, unknown)

    async def _audit(self, sale: Sale, unknown: set[str]) -> None:
        jobs, accepted = await self.jobs_of(sale), self.accepted(sale)
        assert jobs, f"{sale.label} is on no row"
        for job in jobs:
            assert job.task.status.terminal, f"{sale.label} is stuck in {job.task.phase}"
            assert not job.task.cancel_owed
            check_rows(job)
        allowed = sum(1 + job.task.resubmits for job in jobs)
        assert len(accepted) <= allowed, f"{sale.label} was paid {len(accepted)} times"
        if accepted and allowed == len(jobs) and sale.label not in self.confessed:
            known = any(job.task.id in unknown or _accounts_for(job, accepted) for job in jobs)
            assert known, f"{sale.label} was paid, and no row knows"
        for job in jobs:
            if job.task.status is Status.COMPLETED:
                assert accepted, f"{sale.label} completed for free"
                assert await self.stored(job) == await self._made(sale)

    async def stored(self, job: Job) -> bytes:
        """What is in the blob store for a completed job."""
        assert job.task.audio is not None
        async with self.blobs.open(job.task.audio.key) as blob:
            return b"".join([chunk async for chunk in blob.chunks])

    async def _made(self, sale: Sale) -> bytes:
        return a_clip() if self.call is Call.QWEN_CLONE else await hashed_speaker(sale.label)


def _accounts_for(job: Job, accepted: list[AcceptedJob]) -> bool:
    """Whether the row says which piece of work was paid for, or holds the work itself. DashScope bills a
    synthesis by its request id, which the receipt has; a design of Modal's has no name at all."""
    task = job.task
    names = {each.id for each in accepted}
    if task.provider == "modal":
        ticket = task.ticket or {}
        named = ticket.get("job_id") in names or "design_url" in ticket
        return named or task.status is Status.COMPLETED
    if names & {task.voice.provider_voice_id}:
        return True
    receipt = task.receipt or {}
    return accepted[0].kind == "synthesis" and receipt.get("request_id") is not None


@asynccontextmanager
async def a_till(
    call: Call,
    vendor: Vendor,
    *,
    provider: Provider | None = None,
    on_unknown: OnUnknown | None = None,
    over: Till | None = None,
) -> AsyncIterator[Till]:
    """An orchestrator that nothing drives but the test; ``over`` another one's stores, or over fresh ones."""
    clock = over.clock if over else ManualClock()
    tasks = over.tasks if over else MemoryTaskStore(clock=clock)
    blobs = over.blobs if over else MemoryBlobStore(clock=clock)
    sales = over.sales if over else []
    assert isinstance(tasks, MemoryTaskStore)
    paying = provider or a_provider(vendor)
    try:
        async with Orchestrator(
            provider=paying,
            tasks=tasks,
            blobs=blobs,
            voices=tasks,
            background=False,
            policy=POLICY,
            on_unknown=on_unknown,
        ) as tts:
            yield Till(call, vendor, tts, tasks, blobs, clock, sales)
    finally:
        with anyio.CancelScope(shield=True):
            await paying.aclose()


@asynccontextmanager
async def a_market(
    call: Call, *, on_unknown: OnUnknown | None = None
) -> AsyncIterator[tuple[Vendor, Till]]:
    """A vendor and a till."""
    async with a_vendor(call) as vendor, a_till(call, vendor, on_unknown=on_unknown) as till:
        yield vendor, till


def offsets(*, every: bool = False) -> Iterator[int]:
    """Where to cut, without end: each of the first 64 bytes, then ever fewer, or all."""
    at = 0
    while True:
        yield at
        at += 1 if every or at < 64 else max(7, at // 6)
