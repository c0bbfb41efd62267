"""The v1 contract in an application of aiohttp.

::

    from ttsorch.adapters.aiohttp import add_contract
    from ttsorch.contract import ContractHandler

    add_contract(app, ContractHandler(orchestrator, signing_key=key), authenticate)

    async def authenticate(request: web.Request):           # or a plain function
        return (await get_session(request)).get("user")

It answers ``/api`` and all below it, whatever the method; below another path in an application of its own,
with ``app.add_subapp("/tts", contract_app)``. Open the orchestrator in a ``cleanup_ctx`` of the host's.
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeAlias
from urllib.parse import quote, unquote

import anyio
from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from ttsorch.contract import ClientGone, ContractHandler, HttpRequest, HttpResponse
from ttsorch.contract.exchange import STALLED_SECONDS

#: From a request to the id of who is asking; None if that is nobody known.
Authenticate: TypeAlias = Callable[[web.Request], Awaitable[str | None] | str | None]

#: ``/api`` and all below it, line breaks included.
_EVERYTHING = r"/api{rest:(?:/[\s\S]*)?}"
_SUFFIX = "/api{rest}"


def add_contract(
    app: web.Application, handler: ContractHandler, authenticate: Authenticate
) -> None:
    """Everything below ``/api``."""

    async def contract(request: web.Request) -> web.StreamResponse:
        try:
            response = await handler.handle(_request(request, authenticate))
        except ClientGone:
            return web.Response(status=400)  # nobody is there to read it
        if isinstance(response.body, bytes):
            return web.Response(
                status=response.status, headers=response.headers, body=response.body
            )
        return await _stream(request, response, response.body)

    app.router.add_route("*", _EVERYTHING, contract, name="ttsorch")


def _request(request: web.Request, authenticate: Authenticate) -> HttpRequest:
    async def owner() -> str | None:
        found = authenticate(request)
        return await found if inspect.isawaitable(found) else found

    root = unquote(_root(request))
    return HttpRequest(
        method=request.method,
        path=unquote(request.rel_url.raw_path).removeprefix(root),
        query=request.rel_url.raw_query_string,
        headers=_headers(request),
        body=_body(request),
        authenticate=owner,
        root=quote(root),
        scheme=request.scheme,
        peer=_peer(request),
    )


def _root(request: web.Request) -> str:
    """Of the application that the contract was added to: its path in the URL."""
    resource = request.match_info.route.resource
    return resource.canonical.removesuffix(_SUFFIX) if resource else ""


def _peer(request: web.Request) -> str | None:
    transport = request.transport
    name = transport.get_extra_info("peername") if transport else None
    return str(name[0]) if isinstance(name, tuple) else None


def _headers(request: web.Request) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.raw_headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _body(request: web.Request) -> AsyncGenerator[bytes, None]:
    try:
        if request.content.at_eof():
            # Nothing is left; but a middleware that wanted all of it has kept it.
            yield await request.read()
        async for chunk in request.content.iter_any():
            yield chunk
    except (OSError, ClientPayloadError, HttpProcessingError):
        raise ClientGone from None


async def _stream(
    request: web.Request, response: HttpResponse, body: AsyncGenerator[bytes, None]
) -> web.StreamResponse:
    """Send until the end, or until nobody listens. A body that was cut short ends with the connection,
    since its length was promised."""
    answer = web.StreamResponse(status=response.status, headers=response.headers)
    async with aclosing(body):
        await answer.prepare(request)
        async for chunk in body:
            with anyio.move_on_after(STALLED_SECONDS) as patience:
                await answer.write(chunk)
            if patience.cancelled_caught and request.transport is not None:
                request.transport.abort()  # closing would wait for what it doesn't read
                return answer
    await answer.write_eof()
    return answer
