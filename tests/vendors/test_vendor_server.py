"""The server under every fake vendor: plain HTTP/1.1, and the faults of the wire."""

import anyio
import httpx
import pytest

from ttsorch._http import HttpClient, get_request, post_request
from ttsorch.errors import ProviderUnavailable
from ttsorch.testing.vendor_server import (
    VendorReply,
    VendorRequest,
    VendorServer,
    WireFault,
    serving,
)

pytestmark = pytest.mark.anyio


async def echo(request: VendorRequest) -> VendorReply:
    return VendorReply.of_json({"path": request.path, "bytes": len(request.body)})


async def broken(request: VendorRequest) -> VendorReply:
    raise KeyError("sk-not-a-real-key")


async def raw_exchange(server: VendorServer, data: bytes) -> bytes:
    """Everything that comes back for ``data``, until the server closes."""
    received = b""
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(data)
        async for chunk in stream:
            received += chunk
    return received


async def post(http: HttpClient, server: VendorServer, path: str = "/job", size: int = 10) -> bytes:
    reply = await http.exchange(post_request(server.url + path, {"text": "x" * size}), deadline=20)
    return reply.body


async def test_a_request_reaches_the_vendor_decoded_and_whole() -> None:
    """Method, decoded path, first of repeated parameters, lower-case headers, JSON body."""
    async with serving(echo) as server, httpx.AsyncClient() as client:
        url = f"{server.url}/a%20b?x=%C3%A9&x=2&empty="
        await client.post(url, json={"text": "é"}, headers={"X-Thing": "1"})
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/a b")
    assert dict(request.query) == {"x": "é", "empty": ""}
    assert request.headers["x-thing"] == "1"
    assert request.json() == {"text": "é"}


async def test_a_body_that_is_no_json_is_a_value_error() -> None:
    """So that a fake can answer as its vendor does."""
    async with serving(echo) as server, httpx.AsyncClient() as client:
        await client.post(server.url, content=b"\xff{")
    with pytest.raises(ValueError, match=r"."):
        server.requests[0].json()


async def test_nothing_that_was_said_is_in_a_repr() -> None:
    """Bodies, headers and queries carry texts and keys."""
    async with serving(echo) as server, httpx.AsyncClient() as client:
        await client.post(f"{server.url}/x?sig=s3cret", content=b"s3cret", headers={"a": "s3cret"})
    assert "s3cret" not in repr(server)
    assert "s3cret" not in repr(VendorReply(body=b"s3cret", headers={"location": "s3cret"}))


async def test_a_connection_is_kept_for_the_next_exchange() -> None:
    """Three exchanges of one client share a connection, which is gone when the client is."""
    async with serving(echo) as server, httpx.AsyncClient() as client:
        for _ in range(3):
            await client.post(server.url, content=b"1234")
        assert (server.connections, server.open_connections) == (1, 1)
    assert server.open_connections == 0


async def test_a_client_that_wants_to_close_is_closed_on() -> None:
    """``Connection: close`` ends the connection after the reply."""
    async with serving(echo) as server:
        reply = await raw_exchange(
            server, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert reply.endswith(b'{"path":"/","bytes":0}')


async def test_head_has_the_length_and_no_body() -> None:
    """And the connection is usable afterwards."""
    async with serving(echo) as server, httpx.AsyncClient() as client:
        head = await client.head(server.url)
        full = await client.get(server.url)
    assert head.content == b""
    assert head.headers["content-length"] == str(len(full.content))
    assert server.connections == 1


async def test_a_vendor_that_breaks_answers_like_starlette() -> None:
    """500 in plain text without the reason, which the test finds in ``failures``."""
    async with serving(broken) as server, httpx.AsyncClient() as client:
        reply = await client.get(server.url)
    assert (reply.status_code, reply.text) == (500, "Internal Server Error")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert [type(failure) for failure in server.failures] == [KeyError]


async def test_what_is_no_http_is_refused() -> None:
    """400, the end of the connection, and no request."""
    async with serving(echo) as server:
        reply = await raw_exchange(server, b"NOT HTTP AT ALL\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert server.requests == []


async def test_a_body_over_the_cap_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """413, and the vendor never sees it; a body of exactly the cap is taken."""
    monkeypatch.setattr("ttsorch.testing.vendor_server.MAX_REQUEST_BODY", 1000)
    async with serving(echo) as server, httpx.AsyncClient() as client:
        assert (await client.post(server.url, content=b"x" * 1000)).status_code == 200
        assert (await client.post(server.url, content=b"x" * 1001)).status_code == 413
    assert len(server.requests) == 1


async def test_a_client_that_waits_for_continue_is_told_to() -> None:
    """curl asks before it sends a long body."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    async with serving(echo) as server, await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(head)
        assert (await stream.receive()).startswith(b"HTTP/1.1 100 ")
        await stream.send(b"body")
        await server.received(1)
    assert server.requests[0].body == b"body"


@pytest.mark.parametrize("graceful", [False, True])
@pytest.mark.parametrize("after", [0, 20, 100_000, 10**9])
async def test_a_cut_request_never_reaches_the_vendor(graceful: bool, after: int) -> None:
    """Wherever it is cut, even behind its end; the exchange after it is served."""
    async with serving(echo) as server, HttpClient() as http:
        server.faults.append(WireFault(cut_request_after=after, graceful=graceful))
        with pytest.raises(ProviderUnavailable) as caught:
            await post(http, server, size=300_000)
        assert caught.value.ambiguous
        assert server.requests == []
        await post(http, server)
    assert len(server.requests) == 1


@pytest.mark.parametrize("graceful", [False, True])
async def test_a_lost_reply_was_given(graceful: bool) -> None:
    """The vendor did its work; the client reads not one byte."""
    async with serving(echo) as server, HttpClient() as http:
        server.faults.append(WireFault(lose_reply=True, graceful=graceful))
        with pytest.raises(ProviderUnavailable) as caught:
            await post(http, server)
    assert caught.value.ambiguous
    assert len(server.requests) == 1


async def test_a_request_is_cut_while_its_client_still_sends() -> None:
    """The hang-up comes at its byte, without waiting for the rest of the request."""
    begun = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nonly this"
    async with serving(echo) as server:
        server.faults.append(WireFault(cut_request_after=len(begun), graceful=True))
        with anyio.fail_after(10):
            assert await raw_exchange(server, begun) == b""


async def test_a_kept_connection_meets_the_next_fault() -> None:
    """A fault that lets its exchange through doesn't follow it to the next one."""
    let_go = anyio.Event()
    let_go.set()
    async with serving(echo) as server, HttpClient() as http:
        server.faults.extend([WireFault(stall=let_go), WireFault(lose_reply=True)])
        await post(http, server)
        with pytest.raises(ProviderUnavailable):
            await post(http, server)
        assert server.connections == 1


async def test_a_lost_reply_is_reset_and_a_graceful_one_is_closed() -> None:
    """An RST is an error to the client, a FIN an end."""
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(echo) as server:
        server.faults.append(WireFault(lose_reply=True))
        with pytest.raises(anyio.BrokenResourceError):
            await raw_exchange(server, request)
        server.faults.append(WireFault(lose_reply=True, graceful=True))
        assert await raw_exchange(server, request) == b""


async def test_a_cut_reply_stops_at_its_byte() -> None:
    """Counted from the status line."""
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(echo) as server:
        server.faults.append(WireFault(cut_reply_after=13, graceful=True))
        assert await raw_exchange(server, request) == b"HTTP/1.1 200 "


async def test_faults_meet_their_path_in_order_and_once() -> None:
    """A fault for another path waits; each breaks one exchange."""
    async with serving(echo) as server, HttpClient() as http:
        server.faults.extend([WireFault(path="/b", lose_reply=True), WireFault(lose_reply=True)])
        with pytest.raises(ProviderUnavailable):
            await post(http, server, "/a")
        assert [fault.path for fault in server.faults] == ["/b"]
        await post(http, server, "/a")
        with pytest.raises(ProviderUnavailable):
            await post(http, server, "/b")
        await post(http, server, "/b")
    assert not server.faults


async def test_a_fault_for_a_path_cuts_a_long_request() -> None:
    """The head says the path; the body is cut."""
    async with serving(echo) as server, HttpClient() as http:
        server.faults.append(WireFault(path="/b", cut_request_after=100_000))
        await post(http, server, "/a", size=300_000)
        with pytest.raises(ProviderUnavailable):
            await post(http, server, "/b", size=300_000)
    assert [request.path for request in server.requests] == ["/a"]


async def test_a_stalled_reply_comes_when_it_is_let_go() -> None:
    """The vendor has handled the request while the client still waits."""
    handled, let_go = anyio.Event(), anyio.Event()
    replies: list[bytes] = []

    async def handling(request: VendorRequest) -> VendorReply:
        handled.set()
        return await echo(request)

    async with serving(handling) as server, HttpClient() as http:
        server.faults.append(WireFault(stall=let_go))

        async def ask() -> None:
            replies.append(await post(http, server))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await handled.wait()
            await anyio.wait_all_tasks_blocked()
            assert replies == []
            let_go.set()
    assert replies == [b'{"path":"/job","bytes":21}']


async def test_a_client_that_leaves_a_stalled_reply_is_noticed() -> None:
    """No connection is held for somebody who has gone."""
    async with serving(echo) as server:
        server.faults.append(WireFault(stall=anyio.Event()))
        async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
            await stream.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await server.received(1)
        with anyio.fail_after(10):
            while server.open_connections:
                await anyio.lowlevel.checkpoint()


async def test_leaving_closes_what_is_under_way() -> None:
    """A server whose reply is stalled ends with its block, and the client sees the end."""
    async with HttpClient() as http, anyio.create_task_group() as group:

        async def ask(server: VendorServer) -> None:
            with pytest.raises(ProviderUnavailable):
                await http.exchange(get_request(server.url), deadline=20)

        async with serving(echo) as server:
            server.faults.append(WireFault(stall=anyio.Event()))
            group.start_soon(ask, server)
            await server.received(1)
    assert server.open_connections == 0


async def test_a_failure_inside_is_raised_as_it_is() -> None:
    """A failing assertion of a test isn't hidden in a group."""
    with pytest.raises(ZeroDivisionError):
        async with serving(echo):
            raise ZeroDivisionError


async def test_a_port_can_be_chosen_once() -> None:
    """A second server on it is an OSError."""
    async with serving(echo) as server:
        with pytest.raises(OSError, match=r"."):
            async with serving(echo, port=server.port):
                pass
    async with serving(echo, port=server.port) as again:
        assert again.port == server.port
