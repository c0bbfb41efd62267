"""kill -9 between any two steps, over files and sockets: nothing is paid twice, and nothing is lost.

A process of its own makes the job (:mod:`tests.vendors.killed_child`) and dies before its first call to a
store or the vendor, its second, its third, and so on until one gets through; each time this process goes on
from the files that are left.
"""

import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.vendors.killed_child import Order
from tests.vendors.on_sockets import Call, Vendor, a_provider, a_vendor
from tests.vendors.paying import POLICY, Sale, Till
from ttsorch.models import Job, Phase, Status
from ttsorch.orchestrator import Orchestrator
from ttsorch.storage.filesystem import FilesystemBlobStore
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.vendor_server import WireFault

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork and no SIGKILL"),
]

ROOT = Path(__file__).parents[2]
CALLS = (Call.MODAL_GENERATE, Call.QWEN_GENERATE)
MOST_PLACES = 100


@pytest.fixture
def anyio_backend() -> str:
    """Which loop the surviving process runs says nothing about the dead one."""
    return "asyncio"


class Doomed:
    """The process that forks the ones that die."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._orders = process.stdin
        self._words = BufferedByteReceiveStream(process.stdout)

    async def send(self, order: Order) -> None:
        await self._orders.send((json.dumps(asdict(order)) + "\n").encode())

    async def word(self) -> list[str]:
        """The next line it says."""
        with anyio.fail_after(60):
            return (await self._words.receive_until(b"\n", 1000)).decode().split()

    async def result(self) -> tuple[bool, str | None]:
        """Whether it was killed, and the id of the task that it had acknowledged by then."""
        acknowledged = None
        while (word := await self.word())[0] in ("began", "acknowledged"):
            acknowledged = word[1] if word[0] == "acknowledged" else None
        assert word[0] in ("killed", "untouched")
        return word[0] == "killed", acknowledged


@asynccontextmanager
async def doomed() -> AsyncIterator[Doomed]:
    command = [sys.executable, "-m", "tests.vendors.killed_child"]
    environ = {"PATH": os.environ["PATH"]}
    async with await anyio.open_process(command, cwd=ROOT, env=environ, stderr=None) as process:
        yield Doomed(process)


@asynccontextmanager
async def survivor(call: Call, vendor: Vendor, folder: Path, label: str) -> AsyncIterator[Till]:
    """A till over the files of a dead process."""
    clock = ManualClock(datetime.now(UTC))
    tasks = await SqliteTaskStore.open(folder / "jobs.db", clock=clock)
    blobs = FilesystemBlobStore(folder / "blobs")
    provider = a_provider(vendor)
    try:
        async with Orchestrator(
            provider=provider,
            tasks=tasks,
            voices=tasks,
            blobs=blobs,
            policy=POLICY,
            background=False,
        ) as tts:
            yield Till(call, vendor, tts, tasks, blobs, clock, [Sale("owner-0", label)])
    finally:
        await provider.aclose()
        await blobs.aclose()
        await tasks.aclose()


async def recovered(till: Till, acknowledged: str | None) -> tuple[Job | None, Job]:
    """The row as the dead process left it, and as it is when everything has been compared."""
    (sale,) = till.sales
    left = await till.jobs_of(sale)
    assert len(left) <= 1
    if acknowledged is not None:
        assert [job.task.id for job in left] == [acknowledged], "an acknowledged job was lost"
    if not left:
        assert till.vendor.ledger.submits == 0, "the call left before its attempt was committed"
    await till.settle()
    # Nobody polls: the sweep alone brings it to its end.
    assert all(job.task.status.terminal for job in await till.jobs_of(sale))
    await till.audit()
    return (left[0] if left else None), await till.job_of(sale)


def assert_not_lost(left: Job | None, job: Job, vendor: Vendor) -> None:
    """Whatever was known when the process died leads to the speech. Only a call that was under way, or was
    about to be, may end as unknown."""
    assert vendor.ledger.submits <= 1, "a call was made twice"
    if left is None or left.task.phase is not Phase.SUBMITTING:
        assert job.task.status is Status.COMPLETED, (left, job.task.error)
        assert vendor.ledger.submits == 1
        return
    assert job.task.error is not None
    assert (job.task.error.code, job.task.outcome_open) == ("submission_outcome_unknown", True)


def order_for(call: Call, vendor: Vendor, folder: Path, *, at: int = 0, within: float = 0) -> Order:
    folder.mkdir()
    provider = "modal" if call.of_modal else "qwen"
    return Order(provider, str(folder), "sale_000000", vendor.environ, at, within)


@asynccontextmanager
async def life_after(
    process: Doomed, call: Call, folder: Path, *, at: int = 0, within: float = 0.0
) -> AsyncIterator[tuple[bool, Job | None, Job, Vendor]]:
    """One death and what came of it: whether it was one, the row it left, the row in the end, the vendor."""
    async with a_vendor(call) as vendor:
        order = order_for(call, vendor, folder, at=at, within=within)
        await process.send(order)
        killed, acknowledged = await process.result()
        async with survivor(call, vendor, folder, order.label) as till:
            left, job = await recovered(till, acknowledged)
        yield killed, left, job, vendor


@pytest.mark.parametrize("call", CALLS)
async def test_kill_before_every_call(call: Call, tmp_path: Path) -> None:
    """Whatever place the process dies at, one job is paid at most; what was known is finished by a sweep,
    and what was not known is listed. With an envelope on the row, that means the download alone."""
    died_in: Counter[Phase | None] = Counter()
    killed, place, with_envelope = True, 0, 0
    async with doomed() as process:
        while killed:
            place += 1
            assert place < MOST_PLACES
            async with life_after(process, call, tmp_path / str(place), at=place) as life:
                killed, left, job, vendor = life
                assert_not_lost(left, job, vendor)
                died_in[left.task.phase if left else None] += killed
                if killed and left is not None and left.task.envelope is not None:
                    with_envelope += 1
                    assert job.task.status is Status.COMPLETED
                    assert vendor.ledger.submits == len(vendor.ledger.accepted) == 1
    assert {None, Phase.SUBMITTING, Phase.STORING, Phase.READY} <= set(died_in)
    assert with_envelope >= 4


@pytest.mark.parametrize("call", CALLS)
async def test_kill_while_the_vendor_works(call: Call, tmp_path: Path) -> None:
    """The request has arrived, the answer is not out yet: paid once, unknown, and never asked again."""
    async with doomed() as process, a_vendor(call) as vendor:
        vendor.paid.faults.append(WireFault(stall=anyio.Event()))
        order = order_for(call, vendor, tmp_path / "files")
        await process.send(order)
        began, pid = await process.word()
        assert began == "began"
        await vendor.paid.received(1)
        os.kill(int(pid), signal.SIGKILL)
        killed, acknowledged = await process.result()
        assert killed
        async with survivor(call, vendor, Path(order.folder), order.label) as till:
            left, job = await recovered(till, acknowledged)
        assert left is not None
        assert left.task.phase is Phase.SUBMITTING
        assert_not_lost(left, job, vendor)
        assert len(vendor.ledger.accepted) == 1


@pytest.mark.deep
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("call", CALLS)
async def test_kill_at_any_moment(call: Call, tmp_path: Path) -> None:
    """Three hundred deaths at moments that nobody chose, in the middle of calls and commits too."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201  # shown when the test fails
    chance = random.Random(seed)
    async with doomed() as process:
        for number in range(300):
            within = chance.uniform(0.001, 0.15)
            folder = tmp_path / str(number)
            async with life_after(process, call, folder, within=within) as life:
                _, left, job, vendor = life
                assert_not_lost(left, job, vendor)
