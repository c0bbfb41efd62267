"""Nobody pays twice, whatever a paid call is answered: by a gateway, by the vendor's code, or not at all."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import cast

import anyio
import pytest

from tests.vendors.gateway import Gateway, Instead, a_gateway, leading
from tests.vendors.on_sockets import Call, a_provider, a_vendor
from tests.vendors.paying import Till, a_till
from ttsorch.errors import ProviderError
from ttsorch.models import JsonValue, OnUnknown, Status
from ttsorch.protocols import Provider
from ttsorch.testing.vendor_server import VendorReply, WireFault

pytestmark = pytest.mark.anyio

QWEN = (Call.QWEN_GENERATE, Call.QWEN_CLONE, Call.QWEN_DESIGN)
HTML = b"<!doctype html><title>Bad Gateway</title>"


def page(status: int, **headers: str) -> VendorReply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return VendorReply(status, HTML, "text/html", named)


def raw(body: bytes, status: int = 200) -> VendorReply:
    return VendorReply(status, body)


def outage_pages() -> list[VendorReply]:
    """What gateways, proxies and undeployed workers say, with all the encouragement they may give."""
    return [
        VendorReply.of_text("Internal Server Error", 500),
        *(page(status) for status in (408, 409, 425, 500, 502, 503, 504, 507, 520, 599)),
        page(502, retry_after="0"),
        page(503, retry_after="1", x_should_retry="true"),
        page(500, x_should_retry="true"),
        page(504, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
    ]


def torn_successes() -> list[VendorReply]:
    """A 2xx that isn't the JSON it should be."""
    bodies = (
        b"", HTML, b"\xff\xfe", b"[" * 5000, b"NaN", b"[]", b"null", b'"fc-01"', b"7",
        b'{"job_id":"fc-01', b'{"output":{"audio":{"url":"http://127.0.0.1/', b'{"output":{"voice":"qw',
    )  # fmt: skip
    return [
        *(raw(body) for body in bodies),
        *(raw(b"{}", status) for status in (200, 201, 202, 203, 206)),
        VendorReply(204, b""),
    ]


def strange_successes() -> list[VendorReply]:
    """JSON with everything but what was paid for."""
    values: Sequence[JsonValue] = (
        None,
        True,
        7,
        1.5,
        "",
        " ",
        "../../x",
        "x" * 10_000,
        [],
        {},
        ["fc-01"],
    )
    named: list[JsonValue] = [{"job_id": value, "status": "submitted"} for value in values]
    linked: list[JsonValue] = [{"output": {"audio": {"url": value}}} for value in values]
    linked += [{"output": value} for value in values]
    voiced: list[JsonValue] = [{"output": {"voice": value}} for value in values]
    return [VendorReply.of_json(each) for each in (*named, *linked, *voiced)]


def ways_elsewhere(gateway: Gateway) -> list[VendorReply]:
    """Redirects that must not have the call sent again, to where it was sent and to other places."""
    places = ("/elsewhere", gateway.url, "http://127.0.0.1:9/", "https://attacker.test/", "", "\\")
    return [
        page(status, location=place)
        for status in (300, 301, 302, 303, 307, 308)
        for place in places
    ]


@asynccontextmanager
async def behind_a_gateway(
    call: Call, *, on_unknown: OnUnknown | None = None
) -> AsyncIterator[tuple[Gateway, Till]]:
    """A till whose paid calls go through a gateway; its books are compared at the end."""
    async with AsyncExitStack() as stack:
        vendor = await stack.enter_async_context(a_vendor(call))
        gateway = await stack.enter_async_context(a_gateway(vendor))
        provider = a_provider(vendor, leading(call, gateway.url))
        till = await stack.enter_async_context(
            a_till(call, vendor, provider=provider, on_unknown=on_unknown)
        )
        yield gateway, till
        await till.audit()


@pytest.mark.parametrize("call", Call)
async def test_an_answer_that_nobody_can_read_is_not_asked_for_again(call: Call) -> None:
    """Error pages, torn and strange successes, redirects: the work was done once and stays so, and one
    sale in between is none the worse for it."""
    async with behind_a_gateway(call) as (gateway, till):
        replies = [*outage_pages(), *torn_successes(), *strange_successes()]
        for reply in (*replies, *ways_elsewhere(gateway)):
            gateway.meddling.append(Instead(reply))
            sale = await till.sell()
            await till.end_pauses()
            assert len(till.accepted(sale)) == 1, reply
        good = await till.sell()
        await till.audit()
        assert (await till.job_of(good)).task.status is Status.COMPLETED
        assert len(till.vendor.ledger.accepted) == len(till.sales)


@pytest.mark.parametrize("call", Call)
async def test_who_may_ask_again_after_such_answers_counts_it(call: Call) -> None:
    """With on_unknown="resubmit", at most one job per counted attempt."""
    async with behind_a_gateway(call, on_unknown=OnUnknown.RESUBMIT) as (gateway, till):
        for reply in (*outage_pages()[:6], *torn_successes()[:6]):
            gateway.meddling.append(Instead(reply))
            await till.sell()
        await till.audit()
        jobs = [await till.job_of(sale) for sale in till.sales]
        asked = sum(1 + job.task.resubmits for job in jobs)
        assert len(till.sales) < len(till.vendor.ledger.accepted) <= asked


@pytest.mark.parametrize("call", Call)
async def test_a_refusal_costs_nothing_and_is_not_in_doubt(call: Call) -> None:
    """What certainly didn't begin is on no list of unknown outcomes; what is busy may be sent again."""
    refusals = [page(status) for status in (400, 401, 402, 403, 404, 405, 413, 422, 429)]
    refusals += [page(429, retry_after=wait) for wait in ("0", "1000000", "soon")]
    async with behind_a_gateway(call) as (gateway, till):
        for reply in refusals:
            gateway.meddling.append(Instead(reply, worked=False))
            await till.sell()
            await till.end_pauses()
            gateway.meddling.clear()
        await till.settle()
        assert await till.tasks.list_unknown() == []
        for sale, reply in zip(till.sales, refusals, strict=True):
            assert len(till.accepted(sale)) <= int(reply.status == 429 or call is Call.QWEN_CLONE)
        patient = till.sales[refusals.index(page(429, retry_after="0"))]
        completed = [job.task.status is Status.COMPLETED for job in await till.jobs_of(patient)]
        assert any(completed)


@pytest.mark.parametrize("call", [Call.MODAL_DESIGN, *QWEN])
async def test_what_began_and_failed_is_left_to_the_user(call: Call) -> None:
    """The vendor says so itself, and suggests another try: each task makes its call once, and has failed."""
    async with behind_a_gateway(call) as (gateway, till):
        for reply in confessions(call):
            gateway.meddling.append(Instead(reply))
            sale = await till.sell()
            till.confessed.add(sale.label)
        await till.audit()
        for sale in till.sales:
            jobs = await till.jobs_of(sale)
            # Also when the verb is repeated: what repeats it may be a proxy.
            assert len(till.accepted(sale)) == len(jobs) == 1
            assert jobs[0].task.status is Status.FAILED


def confessions(call: Call) -> list[VendorReply]:
    """Failures in the vendor's own words."""
    again = {"retry-after": "0", "x-should-retry": "true"}
    if call is Call.MODAL_DESIGN:
        timed_out = "modal-http: internal error: function execution timed out"
        failed: JsonValue = {"detail": "Voice design failed: CUDA out of memory"}
        return [VendorReply.of_text(timed_out, 500), VendorReply.of_json(failed, 500, again)]
    codes = (
        (500, "InternalError.Algo"),
        (503, "ModelUnavailable"),
        (200, "SystemError"),
        (502, "New"),
    )
    return [
        VendorReply.of_json({"code": code, "message": "It failed."}, status, again)
        for status, code in codes
    ]


async def test_a_refusal_of_the_second_question_says_nothing_of_the_first() -> None:
    """Modal answers 303 and a gateway turns the GET away, in JSON and with a wait: the POST was taken."""
    call = Call.MODAL_GENERATE
    async with behind_a_gateway(call) as (gateway, till):
        for status in (429, 401, 403, 404, 405, 409, 500, 503):
            detail: JsonValue = {"detail": "Too many requests", "error": "rate limited"}
            turned_away = VendorReply.of_json(detail, status, {"retry-after": "0"})
            see_other = VendorReply(303, b"", "text/plain", {"location": f"{gateway.url}/?call=1"})
            gateway.meddling.extend((Instead(see_other), Instead(turned_away, worked=False)))
            sale = await till.sell()
            assert len(till.accepted(sale)) == 1, status
            assert (await till.job_of(sale)).task.outcome_open, status


@pytest.mark.parametrize("call", Call)
async def test_a_call_that_outlasts_its_deadline_is_not_made_again(call: Call) -> None:
    """The vendor works on and keeps silent: unknown, and paid once."""
    async with a_vendor(call) as vendor:
        provider = a_provider(vendor, deadline=0.4)
        async with a_till(call, vendor, provider=provider) as till:
            for _ in range(2):
                vendor.paid.faults.append(WireFault(stall=anyio.Event()))
                sale = await till.sell()
                (job,) = await till.jobs_of(sale)
                assert job.task.outcome_open
            await till.audit()
            assert len(vendor.ledger.accepted) == 2


class FirstRefusal:
    """The provider itself; the first failure of a paid call is shown, and held until it may go on."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.refused, self.go_on = anyio.Event(), anyio.Event()

    def __getattr__(self, name: str) -> object:
        member = getattr(self._provider, name)
        return partial(self._paid, member) if name in ("submit", "clone", "design") else member

    async def _paid(self, call: Callable[..., Awaitable[object]], *given: object) -> object:
        try:
            return await call(*given)
        except ProviderError:
            self.refused.set()
            await self.go_on.wait()
            raise


@pytest.mark.parametrize("call", Call)
async def test_what_was_never_sent_is_sent_again(call: Call) -> None:
    """Nobody listens where the call goes; then somebody does. It completes, and is paid once."""
    async with AsyncExitStack() as stack:
        vendor = await stack.enter_async_context(a_vendor(call))
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        paying = a_provider(vendor, leading(call, f"http://127.0.0.1:{port}"))
        provider = FirstRefusal(paying)
        till = await stack.enter_async_context(
            a_till(call, vendor, provider=cast(Provider, provider))
        )
        group = await stack.enter_async_context(anyio.create_task_group())
        sold = anyio.Event()

        async def sell() -> None:
            await till.sell()
            sold.set()

        group.start_soon(sell)
        await provider.refused.wait()
        assert vendor.ledger.submits == 0
        closed.close()
        await stack.enter_async_context(a_gateway(vendor, port=port))
        provider.go_on.set()
        await sold.wait()
        await till.audit()
        (sale,) = till.sales
        assert Status.COMPLETED in [job.task.status for job in await till.jobs_of(sale)]
        assert len(till.accepted(sale)) == 1


@pytest.mark.parametrize("call", Call)
async def test_a_handshake_that_fails_leaves_no_doubt(call: Call) -> None:
    """TLS with a server that speaks none: nothing was sent, nothing is listed, nothing is paid."""
    async with a_vendor(call) as vendor:
        secure = vendor.paid.url.replace("http://", "https://")
        provider = a_provider(vendor, leading(call, secure))
        async with a_till(call, vendor, provider=provider) as till:
            await till.sell()
            await till.audit()
            assert await till.tasks.list_unknown() == []
            assert vendor.ledger.submits == 0
