"""Nobody pays twice: the wire breaks at every byte of a paid call, and the vendor's own bill is what counts.

After each fault every task has ended, at most one job was accepted for it, each accepted job is on a row or
on the list of unknown outcomes, and what completed is what the vendor made.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from tests.vendors.on_sockets import Call, Vendor
from tests.vendors.paying import POLICY, Till, a_market, offsets
from ttsorch.models import OnUnknown, Status
from ttsorch.testing.vendor_server import WireFault

pytestmark = pytest.mark.anyio

_MOST_OFFSETS = 20_000


def longest_request(call: Call) -> int:
    """In bytes. Some bring a recording along, in base64."""
    return {Call.QWEN_CLONE: 200_000, Call.MODAL_GENERATE: 2_000}.get(call, 800)


@asynccontextmanager
async def audited(
    call: Call, *, on_unknown: OnUnknown | None = None
) -> AsyncIterator[tuple[Vendor, Till]]:
    """A market whose books are compared when the test is done with it."""
    async with a_market(call, on_unknown=on_unknown) as (vendor, till):
        yield vendor, till
        await till.audit()


async def cut_requests(call: Call, *, graceful: bool, every: bool = False) -> None:
    async with audited(call) as (vendor, till):
        for at in offsets(every=every):
            if at > min(longest_request(call), 2_000 if every else 200_000):
                break
            vendor.paid.faults.append(WireFault(cut_request_after=at, graceful=graceful))
            await till.sell()
            assert not vendor.paid.faults
        await till.audit()
        assert vendor.ledger.accepted == []
        await assert_all_unknown(till, len(till.sales))


async def cut_replies(call: Call, *, graceful: bool, every: bool = False) -> None:
    """Until one gets through whole."""
    async with audited(call) as (vendor, till):
        for at in offsets(every=every):
            assert at < _MOST_OFFSETS
            vendor.paid.faults.append(WireFault(cut_reply_after=at, graceful=graceful))
            sale = await till.sell()
            assert not vendor.paid.faults
            if (await till.job_of(sale)).task.status is Status.COMPLETED:
                break
        await till.audit()
        assert len(vendor.ledger.accepted) == len(till.sales) > 64
        await assert_all_unknown(till, len(till.sales) - 1)


async def assert_all_unknown(till: Till, count: int) -> None:
    """The first ``count`` sales have failed, and operators are shown them."""
    unknown = {job.task.id for job in await till.tasks.list_unknown(limit=100_000)}
    assert len(unknown) == count
    for sale in till.sales[:count]:
        task = (await till.job_of(sale)).task
        assert task.error is not None
        assert (task.status, task.error.code) == (Status.FAILED, "submission_outcome_unknown")
        assert task.id in unknown


@pytest.mark.parametrize("call", Call)
async def test_a_request_that_was_cut_off_is_not_sent_again(call: Call) -> None:
    """Reset after any number of bytes of the request: nobody can tell that it didn't arrive."""
    await cut_requests(call, graceful=False)


@pytest.mark.parametrize("call", Call)
async def test_an_answer_that_was_cut_off_is_not_asked_for_again(call: Call) -> None:
    """Reset after any number of bytes of the answer, in its head or in its JSON: it was paid once."""
    await cut_replies(call, graceful=False)


@pytest.mark.parametrize("call", Call)
async def test_a_server_that_shuts_down_is_not_asked_again(call: Call) -> None:
    """The same with connections that end in good order, as those of a server that shuts down."""
    await cut_replies(call, graceful=True)


@pytest.mark.deep
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("graceful", [False, True])
@pytest.mark.parametrize("call", Call)
async def test_every_single_offset(call: Call, graceful: bool) -> None:
    """No byte of a request's beginning and of any answer is special."""
    await cut_requests(call, graceful=graceful, every=True)
    await cut_replies(call, graceful=graceful, every=True)


@pytest.mark.parametrize("call", Call)
async def test_who_may_ask_again_pays_once_for_each_time(call: Call) -> None:
    """With on_unknown="resubmit", one job per counted attempt at most; all of them complete."""
    async with audited(call, on_unknown=OnUnknown.RESUBMIT) as (vendor, till):
        for at in (0, 1, 40, 90, 140):
            for fault in (WireFault(cut_request_after=at), WireFault(cut_reply_after=at)):
                vendor.paid.faults.append(fault)
                sale = await till.sell()
                job = await till.job_of(sale)
                assert (job.task.status, job.task.resubmits) == (Status.COMPLETED, 1)
        assert len(vendor.ledger.accepted) == 3 * len(till.sales) / 2


@pytest.mark.parametrize("call", Call)
async def test_asking_again_ends(call: Call) -> None:
    """A vendor whose answers are all lost is asked once and as often again as the policy says; the task
    has failed then, and is on the operators' list with all that it cost."""
    async with audited(call, on_unknown=OnUnknown.RESUBMIT) as (vendor, till):
        vendor.paid.faults.extend(WireFault(lose_reply=True) for _ in range(50))
        sale = await till.sell()
        await till.settle()
        task = (await till.job_of(sale)).task
        assert (task.status, task.resubmits) == (Status.FAILED, POLICY.max_resubmits)
        assert len(vendor.ledger.accepted) == 1 + POLICY.max_resubmits
        assert [job.task.id for job in await till.tasks.list_unknown()] == [task.id]


@pytest.mark.parametrize("call", Call)
async def test_many_at_once_with_every_other_answer_lost(call: Call) -> None:
    """Sales side by side don't mix up what became of them."""
    async with audited(call) as (vendor, till):
        vendor.paid.faults.extend(
            WireFault(lose_reply=True, graceful=bool(n % 2)) for n in range(8)
        )
        async with anyio.create_task_group() as group:
            for _ in range(16):
                group.start_soon(till.sell)
        await till.audit()
        statuses = [(await till.job_of(sale)).task.status for sale in till.sales]
        assert sorted(statuses) == [Status.COMPLETED] * 8 + [Status.FAILED] * 8
        assert len(vendor.ledger.accepted) == 16
