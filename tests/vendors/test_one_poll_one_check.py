"""What a poll costs at the vendor, counted on the vendor's side of the socket (contract 4.2)."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest

from tests.vendors.on_sockets import Call, Vendor
from tests.vendors.paying import Sale, Till, a_market
from ttsorch.contract import ContractHandler, HttpRequest
from ttsorch.models import Policy, Status
from ttsorch.testing.vendor_server import WireFault

pytestmark = pytest.mark.anyio


@dataclass
class Counted:
    """One running task, its handler, and what was asked about it so far."""

    vendor: Vendor
    till: Till
    handler: ContractHandler
    sale: Sale
    task_id: str

    def questions(self) -> tuple[int, int, int]:
        """Submits, status checks and results that arrived at Modal."""
        servers = self.vendor.modal.servers
        return tuple(
            len(each.requests) for each in (servers.submit, servers.status, servers.result)
        )  # type: ignore[return-value]

    async def poll(self) -> dict[str, object]:
        """The task as one GET of the contract shows it."""

        async def authenticate() -> str:
            return self.sale.owner

        request = HttpRequest(
            method="GET",
            path=f"/api/tasks/{self.task_id}",
            query="",
            headers={},
            body=_nothing(),
            authenticate=authenticate,
        )
        response = await self.handler.handle(request)
        assert response.status == 200
        assert isinstance(response.body, bytes)
        shown: dict[str, object] = json.loads(response.body)
        return shown


async def _nothing() -> AsyncGenerator[bytes, None]:
    for _ in ():
        yield b""


@asynccontextmanager
async def counting(call: Call) -> AsyncIterator[Counted]:
    """A task that was just submitted; a job of Modal's runs until the test ends it."""
    async with a_market(call) as (vendor, till):
        if call.of_modal:
            vendor.modal.checks_until_done = None
        sale = await till.sell(polls=0)
        handler = ContractHandler(till.tts, signing_key=b"k" * 32)
        yield Counted(vendor, till, handler, sale, (await till.job_of(sale)).task.id)


async def test_one_poll_is_one_check() -> None:
    """Each poll of a running job asks the vendor once, and the count says so."""
    async with counting(Call.MODAL_GENERATE) as task:
        for polls in range(1, 6):
            shown = await task.poll()
            assert task.questions() == (1, polls, 0)
            assert (shown["provider_poll_count"], shown["provider_status"]) == (polls, "running")


async def test_what_is_said_of_modal_mirrors_what_is_said_of_any_provider() -> None:
    """``modal_status`` and ``modal_poll_count`` are ``provider_status`` and ``provider_poll_count``, from
    the first poll to one after the end."""
    async with counting(Call.MODAL_GENERATE) as task:
        for polls in range(1, 5):
            if polls == 3:
                task.vendor.modal.finish(task.vendor.ledger.accepted[0].id)
            shown = await task.poll()
            assert shown["modal_status"] == shown["provider_status"]
            # A task that has ended is polled without being counted.
            counted = min(polls, 3)
            assert shown["modal_poll_count"] == shown["provider_poll_count"] == counted
        assert shown["status"] == "completed"


async def test_a_poll_that_fails_has_asked_once_too() -> None:
    """Lost, refused or torn: one request, one count, a word for it, and the next poll asks again."""
    async with counting(Call.MODAL_GENERATE) as task:
        faults = [WireFault(lose_reply=True), WireFault(cut_reply_after=90, graceful=True)]
        for polls, fault in enumerate(faults, start=1):
            task.vendor.modal.servers.status.faults.append(fault)
            shown = await task.poll()
            assert (shown["provider_status"], shown["status"]) == ("status_error", "processing")
            assert shown["modal_status"] == "status_error"
            assert (shown["provider_poll_count"], task.questions()) == (polls, (1, polls, 0))
        task.vendor.modal.switches.platform_error = (503, "modal-http: no healthy upstream")
        assert (await task.poll())["provider_status"] == "status_error"
        assert task.questions() == (1, 3, 0)


async def test_a_poll_whose_question_is_cut_off_was_one_connection() -> None:
    """A request that breaks off isn't sent again by the same poll, over a new connection or otherwise."""
    async with counting(Call.MODAL_GENERATE) as task:
        status = task.vendor.modal.servers.status
        status.faults.append(WireFault(cut_request_after=1))
        assert (await task.poll())["provider_status"] == "status_error"
        assert (status.connections, status.requests) == (1, [])


async def test_polls_at_once_share_one_check() -> None:
    """32 polls of one process are one question; each is counted, and shown a count of its own."""
    async with counting(Call.MODAL_GENERATE) as task:
        answered = anyio.Event()
        task.vendor.modal.servers.status.faults.append(WireFault(stall=answered))
        shown: list[dict[str, object]] = []

        async def poll() -> None:
            shown.append(await task.poll())

        async with anyio.create_task_group() as group:
            for _ in range(32):
                group.start_soon(poll)
            await task.vendor.modal.servers.status.received(1)
            while (await task.till.job_of(task.sale)).task.poll_count < 32:
                await anyio.lowlevel.checkpoint()
            answered.set()
        assert task.questions() == (1, 1, 0)
        assert sorted(int(str(each["provider_poll_count"])) for each in shown) == list(range(1, 33))
        assert {each["provider_status"] for each in shown} == {"running"}


async def test_the_poll_that_completes_asks_and_fetches_once() -> None:
    """One status check and one result; then the task is over, and polls cost the vendor nothing."""
    async with counting(Call.MODAL_GENERATE) as task:
        task.vendor.modal.finish(task.vendor.ledger.accepted[0].id)
        assert (await task.poll())["status"] == "completed"
        assert task.questions() == (1, 1, 1)
        for _ in range(3):
            assert (await task.poll())["provider_status"] == "completed"
        assert task.questions() == (1, 1, 1)


async def test_a_task_that_failed_or_was_cancelled_is_not_asked_about() -> None:
    """Terminal is terminal, however often it is polled."""
    for end in ("failed", "cancelled"):
        async with counting(Call.MODAL_GENERATE) as task:
            if end == "cancelled":
                await task.till.tts.cancel(task.task_id, owner=task.sale.owner)
            else:
                task.vendor.modal.fail(task.vendor.ledger.accepted[0].id, "CUDA out of memory")
                # Modal's word of a failure counts when it is said again some time later.
                await task.poll()
                task.till.clock.advance(Policy().check_interval)
                await task.poll()
            before = task.questions()
            for _ in range(3):
                assert (await task.poll())["provider_status"] == end
            assert task.questions() == before


async def test_polls_of_a_task_of_unknown_outcome_ask_nobody() -> None:
    """There is nothing to ask about, and nothing is submitted again."""
    async with counting(Call.MODAL_GENERATE) as task:
        task.vendor.paid.faults.append(WireFault(lose_reply=True))
        sale = await task.till.sell(polls=0)
        lost = Counted(
            task.vendor, task.till, task.handler, sale, (await task.till.job_of(sale)).task.id
        )
        for _ in range(3):
            assert (await lost.poll())["provider_status"] == "unknown"
        assert lost.questions() == (2, 0, 0)


async def test_a_poll_of_a_direct_task_asks_nothing_about_it() -> None:
    """Qwen has no jobs: the first poll that drives the task makes its synthesis and its download, and the
    others no request at all. What is said of Modal stays empty."""
    async with counting(Call.QWEN_GENERATE) as task:
        shown = [await task.poll() for _ in range(4)]
        assert shown[-1]["status"] == Status.COMPLETED
        requests = task.vendor.paid.requests
        assert [request.method for request in requests] == ["POST", "GET"]
        assert task.vendor.ledger.checks == {}
        assert {(each["modal_status"], each["modal_poll_count"]) for each in shown} == {(None, 0)}
