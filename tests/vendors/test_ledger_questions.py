"""Questions cost nothing, and so they may break: the task goes on, and nothing is ever sent twice for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import pytest

from tests.vendors.on_sockets import Call, Vendor, a_provider, a_vendor
from tests.vendors.paying import Till, a_market, a_till, offsets
from ttsorch.errors import TtsorchError
from ttsorch.models import Phase, Status
from ttsorch.testing.vendor_server import VendorServer, WireFault

pytestmark = pytest.mark.anyio

# No answer of the fakes to these questions is longer.
_LONGEST = 1_000


def all_faults(*, every: bool = False) -> list[WireFault]:
    """Resets after so many bytes of a question, both ends after so many of its answer."""
    sampled = [at for at in offsets_up_to(_LONGEST, every=every) if every or at % 4 == 0 or at > 63]
    cut = [WireFault(cut_request_after=at) for at in sampled]
    for graceful in (False, True):
        cut += [WireFault(cut_reply_after=at, graceful=graceful) for at in sampled]
    return cut


def offsets_up_to(most: int, *, every: bool = False) -> list[int]:
    found = []
    for at in offsets(every=every):
        if at > most:
            break
        found.append(at)
    return found


@asynccontextmanager
async def honest(call: Call) -> AsyncIterator[tuple[Vendor, Till]]:
    """A market in which every sale must have been paid for once, and asked for once."""
    async with a_market(call) as (vendor, till):
        yield vendor, till
        await till.audit()
        assert vendor.ledger.submits == len(vendor.ledger.accepted) == len(till.sales)


async def assert_completed(till: Till) -> None:
    for sale in till.sales:
        task = (await till.job_of(sale)).task
        assert (task.status, task.error) == (Status.COMPLETED, None)


async def break_questions(server: VendorServer, till: Till, *, every: bool = False) -> None:
    """One fault per sale, at the question that ``server`` answers."""
    for fault in all_faults(every=every):
        server.faults.append(fault)
        await till.sell()
        assert not server.faults
    await till.settle()
    await assert_completed(till)


@pytest.mark.parametrize("name", ["status", "result"])
async def test_a_question_about_a_job_may_break(name: str) -> None:
    """Modal's status and result calls, cut off anywhere: the next poll or sweep asks again, and the speech
    is there."""
    async with honest(Call.MODAL_GENERATE) as (vendor, till):
        await break_questions(getattr(vendor.modal.servers, name), till)


@pytest.mark.deep
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["status", "result"])
async def test_a_question_about_a_job_may_break_at_every_byte(name: str) -> None:
    """The same at every single offset."""
    async with honest(Call.MODAL_GENERATE) as (vendor, till):
        await break_questions(getattr(vendor.modal.servers, name), till, every=True)


async def break_downloads(vendor: Vendor, till: Till, *, every: bool = False) -> None:
    """One fault per sale, at the download that follows the synthesis on the same server."""
    for fault in all_faults(every=every):
        vendor.paid.faults.extend((WireFault(), fault))
        await till.sell()
        assert not vendor.paid.faults
    await till.settle()
    await assert_completed(till)


async def test_a_download_may_break() -> None:
    """A result of Qwen's, cut off anywhere, is downloaded again, and never synthesized again."""
    async with honest(Call.QWEN_GENERATE) as (vendor, till):
        await break_downloads(vendor, till)


@pytest.mark.deep
@pytest.mark.timeout(1800)
async def test_a_download_may_break_at_every_byte() -> None:
    """The same at every single offset."""
    async with honest(Call.QWEN_GENERATE) as (vendor, till):
        await break_downloads(vendor, till, every=True)


async def test_a_result_that_never_comes_fails_and_costs_nothing_more() -> None:
    """Every download breaks: the task fails within its deadline, with one synthesis on the bill."""
    async with honest(Call.QWEN_GENERATE) as (vendor, till):
        vendor.dashscope.switches.result_status_once.extend([500] * 1000)
        sale = await till.sell()
        await till.settle()
        assert (await till.job_of(sale)).task.status is Status.FAILED


async def test_a_result_that_is_gone_costs_nothing_more() -> None:
    """A result that expired before it was fetched is a failed task, and never a second synthesis."""
    async with honest(Call.QWEN_GENERATE) as (vendor, till):
        vendor.dashscope.switches.expired = 1
        sale = await till.sell()
        task = (await till.job_of(sale)).task
        assert task.error is not None
        assert (task.status, task.error.code) == (Status.FAILED, "result_expired")


async def test_a_vendor_whose_answers_all_fail_is_asked_until_the_deadline() -> None:
    """Modal's control plane is away for good, in each of its ways: the task fails, and one job was sent."""
    for outage in ("platform", "forgotten", "result"):
        async with honest(Call.MODAL_GENERATE) as (vendor, till):
            if outage == "platform":
                vendor.modal.switches.platform_error = (503, "modal-http: no healthy upstream")
                vendor.modal.switches.platform_error_at = "status"
            if outage == "result":
                vendor.modal.switches.result_500_after_completed = True
            sale = await till.sell(polls=0)
            if outage == "forgotten":
                vendor.modal.forget(vendor.ledger.accepted[0].id)
            await till.settle()
            assert (await till.job_of(sale)).task.status is Status.FAILED


async def test_a_cancel_may_break() -> None:
    """Cut off anywhere, a cancel is repeated until the vendor has heard it; the row is cancelled at once."""
    async with honest(Call.MODAL_GENERATE) as (vendor, till):
        vendor.modal.checks_until_done = None
        for fault in all_faults():
            sale = await till.sell()
            job = await till.job_of(sale)
            vendor.modal.servers.cancel.faults.append(fault)
            job = await till.tts.cancel(job.task.id, owner=sale.owner)
            assert job.task.status is Status.CANCELLED
            assert not vendor.modal.servers.cancel.faults
        await till.settle()
        assert {job.id for job in vendor.ledger.accepted} == set(vendor.ledger.cancels)


async def test_a_cancel_while_the_call_is_under_way_stops_the_job_that_it_brings() -> None:
    """The answer comes after the cancel: its job is on the row, and was told to stop."""
    async with honest(Call.MODAL_GENERATE) as (vendor, till):
        answered, done = anyio.Event(), anyio.Event()
        vendor.paid.faults.append(WireFault(stall=answered))

        async def sell() -> None:
            await till.sell()
            done.set()

        async with anyio.create_task_group() as group:
            group.start_soon(sell)
            await vendor.paid.received(1)
            (job,) = await till.tasks.list_tasks("owner-0")
            cancelled = await till.tts.cancel(job.task.id, owner="owner-0")
            assert cancelled.task.status is Status.CANCELLED
            answered.set()
            await done.wait()
        await till.settle()
        task = (await till.job_of(till.sales[0])).task
        assert (task.phase, task.outcome_open) == (Phase.CANCELLED, False)
        assert vendor.ledger.cancels == [vendor.ledger.accepted[0].id]


@pytest.mark.parametrize("call", [Call.MODAL_GENERATE, Call.QWEN_GENERATE])
async def test_another_process_goes_on_where_one_stopped(call: Call) -> None:
    """A host that is restarted with calls of every outcome behind it repeats none of them."""
    async with a_vendor(call) as vendor, a_till(call, vendor) as till:
        for fault in (WireFault(lose_reply=True), WireFault(cut_request_after=1), WireFault()):
            vendor.paid.faults.append(fault)
            await till.sell(polls=0)
        async with a_till(call, vendor, provider=a_provider(vendor), over=till) as restarted:
            for sale in till.sales:
                for job in await restarted.jobs_of(sale):
                    await restarted.tts.poll_once(job.task.id, owner=sale.owner)
            await restarted.audit()
        assert len(vendor.ledger.accepted) <= len(till.sales)


async def test_the_answer_of_a_slow_design_is_asked_for_until_it_comes() -> None:
    """Modal keeps the answer of a long call under a URL. Cut off anywhere, that is read again, and no
    second voice is designed."""
    async with honest(Call.MODAL_DESIGN) as (vendor, till):
        vendor.modal.switches.design_redirects = 1
        for fault in all_faults():
            vendor.paid.faults.extend((WireFault(), fault))
            await till.sell()
        await till.settle()
        assert not vendor.paid.faults
        await assert_completed(till)


async def test_the_answer_of_a_slow_submit_may_be_lost_but_not_paid_again() -> None:
    """The id of a job that Modal is slow to start is lost with the GET that was to bring it: unknown."""
    async with honest(Call.MODAL_GENERATE) as (vendor, till):
        vendor.modal.switches.submit_redirects = 1
        for at in offsets_up_to(150):
            vendor.paid.faults.extend((WireFault(), WireFault(cut_reply_after=at)))
            await till.sell()
            assert not vendor.paid.faults
        await till.audit()
        unknown = await till.tasks.list_unknown(limit=1_000)
        assert len(unknown) == len(till.sales)


@pytest.mark.parametrize("call", Call)
async def test_a_host_that_shuts_down_in_the_middle_of_a_call(call: Call) -> None:
    """The vendor has the request and keeps silent when the host stops: paid once, unknown, never again."""
    async with a_vendor(call) as vendor:
        vendor.paid.faults.append(WireFault(stall=anyio.Event()))
        provider = a_provider(vendor)
        provider._http._grace = 0.05

        async def sell(till: Till) -> None:
            # What an impatient user asks for after the end of the host is refused.
            with suppress(TtsorchError):
                await till.sell()

        async with (
            anyio.create_task_group() as group,
            a_till(call, vendor, provider=provider) as till,
        ):
            group.start_soon(sell, till)
            await vendor.paid.received(1)
        async with a_till(call, vendor, over=till) as restarted:
            await restarted.audit()
            assert len(await restarted.tasks.list_unknown()) == 1
        assert len(vendor.ledger.accepted) == vendor.ledger.submits == 1


@pytest.mark.parametrize("call", Call)
async def test_a_caller_that_goes_away_leaves_the_call_alone(call: Call) -> None:
    """A request is cancelled while its call is under way: the answer is still taken, and the speech made."""
    async with honest(call) as (vendor, till):
        answered = anyio.Event()
        vendor.paid.faults.append(WireFault(stall=answered))
        async with anyio.create_task_group() as group:
            group.start_soon(till.sell)
            await vendor.paid.received(1)
            group.cancel_scope.cancel()
        answered.set()
        while not (await till.job_of(till.sales[0])).task.status.terminal:
            await till.settle()
            await anyio.lowlevel.checkpoint()
        await assert_completed(till)
