"""The v1 contract as an ASGI 3 application: for uvicorn, hypercorn, Starlette, FastAPI, Litestar, Quart.

::

    from ttsorch.adapters.asgi import asgi_app
    from ttsorch.contract import ContractHandler

    handler = ContractHandler(orchestrator, signing_key=key)
    app.mount("/api", asgi_app(handler, authenticate))     # Starlette, FastAPI

    async def authenticate(scope):                          # or a plain function
        user = Request(scope).user
        return user.id if user.is_authenticated else None

Translation only: routes and decisions are the handler's. It may be mounted at ``/api``, below any other
path (``/tts`` gives ``/tts/api/health``), or serve alone. Lifespan is the host's: open the orchestrator in
the host's own.
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import aclosing
from functools import partial
from typing import TypeAlias, cast
from urllib.parse import quote

import anyio

from ttsorch.contract import ClientGone, ContractHandler, HttpRequest
from ttsorch.contract.exchange import STALLED_SECONDS

Scope: TypeAlias = MutableMapping[str, object]
Message: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
#: From a connection's scope to the id of who is asking; None if that is nobody known.
Authenticate: TypeAlias = Callable[[Scope], Awaitable[str | None] | str | None]

_SEND_SECONDS = STALLED_SECONDS


def asgi_app(handler: ContractHandler, authenticate: Authenticate) -> AsgiApp:
    """The application; raises ``ValueError`` for anything but HTTP, as ASGI wants it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"ttsorch speaks http, not {scope['type']}")
        # The contract's paths begin with /api, whether or not that is where we are mounted.
        root = str(scope.get("root_path", "")).rstrip("/").removesuffix("/api")
        await answer(handler, scope, receive, send, partial(authenticate, scope), root=root)

    return app


async def answer(
    handler: ContractHandler,
    scope: Scope,
    receive: Receive,
    send: Send,
    authenticate: Callable[[], Awaitable[str | None] | str | None],
    *,
    root: str,
) -> None:
    """One exchange, for the frameworks that stand on ASGI: they know their own request, and that ``root``
    is what stands before ``/api`` in the path."""
    try:
        response = await handler.handle(_request(scope, receive, authenticate, root))
    except ClientGone:
        return
    headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if isinstance(response.body, bytes):
        await send({"type": "http.response.body", "body": response.body})
    else:
        await _stream(response.body, receive, send)


def _request(
    scope: Scope,
    receive: Receive,
    authenticate: Callable[[], Awaitable[str | None] | str | None],
    root: str,
) -> HttpRequest:
    async def owner() -> str | None:
        found = authenticate()
        return await found if inspect.isawaitable(found) else found

    return HttpRequest(
        method=str(scope["method"]),
        path=str(scope["path"]).removeprefix(root),
        query=cast(bytes, scope.get("query_string", b"")).decode("latin-1"),
        headers=_headers(cast(Iterable[tuple[bytes, bytes]], scope["headers"])),
        body=_body(receive),
        authenticate=owner,
        root=quote(root),
        scheme=str(scope.get("scheme", "http")),
        peer=_peer(scope),
    )


def _peer(scope: Scope) -> str | None:
    client = cast("tuple[str, int] | None", scope.get("client"))
    return client[0] if client else None


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _body(receive: Receive) -> AsyncGenerator[bytes, None]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        yield cast(bytes, message.get("body", b""))
        more = bool(message.get("more_body", False))


async def _stream(body: AsyncGenerator[bytes, None], receive: Receive, send: Send) -> None:
    """Send until the end, or until nobody listens: a server may drop what we send to who has left, and
    wait for ever for who has stalled. A body that was cut short is the server's to end as an error."""
    async with anyio.create_task_group() as group:

        async def stop_when_left() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        group.start_soon(stop_when_left)
        async with aclosing(body):
            async for chunk in body:
                with anyio.move_on_after(_SEND_SECONDS) as patience:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if patience.cancelled_caught:
                    break
            else:
                await send({"type": "http.response.body", "body": b""})
        group.cancel_scope.cancel()
