"""The v1 contract as a route of Starlette.

::

    from ttsorch.adapters.starlette import contract_route
    from ttsorch.contract import ContractHandler

    handler = ContractHandler(orchestrator, signing_key=key)
    app = Starlette(routes=[contract_route(handler, authenticate), ...])

    async def authenticate(request: Request):               # or a plain function
        return request.user.id if request.user.is_authenticated else None

It answers ``/api`` and all below it, whatever the method. Below another path: ``Mount("/tts",
routes=[contract_route(...)])``. Lifespan is the host's: open the orchestrator in the host's own.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias, cast

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ttsorch.adapters.asgi import answer
from ttsorch.contract import ContractHandler

#: From a request to the id of who is asking; None if that is nobody known.
Authenticate: TypeAlias = Callable[[Request], Awaitable[str | None] | str | None]


class _Everything(Convertor[str]):
    """The rest of a path, line breaks included: Starlette's own ``path`` ends at one, and needs a slash
    before it."""

    regex = r"(?:/[\s\S]*)?"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("ttsorch_everything", _Everything())

#: A pattern of Starlette's, for ``/api`` and all below it.
EVERYTHING = "/api{rest:ttsorch_everything}"


def contract_route(
    handler: ContractHandler, authenticate: Authenticate, *, name: str = "ttsorch"
) -> Route:
    """Everything below ``/api``, for a list of routes."""
    return Route(EVERYTHING, ContractEndpoint(handler, authenticate), name=name)


class ContractEndpoint:
    """The contract where a route matched: what matched begins with ``/api``, and what stands before that
    is where the route is mounted."""

    def __init__(self, handler: ContractHandler, authenticate: Authenticate) -> None:
        self._handler = handler
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rest = cast(str, scope["path_params"]["rest"])
        await self.answer(scope, receive, send, matched=f"/api{rest}")

    async def answer(self, scope: Scope, receive: Receive, send: Send, *, matched: str) -> None:
        """One exchange; ``matched`` is the end of the path, as the contract knows it."""
        await answer(
            self._handler,
            scope,
            receive,
            send,
            lambda: self._authenticate(Request(scope)),
            root=str(scope["path"]).removesuffix(matched),
        )
