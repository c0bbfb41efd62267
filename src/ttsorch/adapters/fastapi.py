"""The v1 contract as a router of FastAPI, documented in the host's own OpenAPI.

::

    from ttsorch.adapters.fastapi import contract_router
    from ttsorch.contract import ContractHandler

    handler = ContractHandler(orchestrator, signing_key=key)
    app.include_router(contract_router(handler, authenticate))      # or with prefix="/tts"

    async def authenticate(request: Request):                        # or a plain function
        return await owner_of(request.headers.get("authorization"))

Translation only. Each route of the contract is an operation of its own, so the host's ``dependencies`` run
before it; what the contract has no route for, under ``/api``, is answered by the handler without them.
"""

from collections.abc import Awaitable, Callable
from typing import TypedDict, cast

from fastapi import APIRouter, Request, Response
from starlette.types import Message, Receive, Scope, Send

from ttsorch.adapters.starlette import EVERYTHING, Authenticate, ContractEndpoint
from ttsorch.contract import ContractHandler
from ttsorch.contract.exchange import BodyTaken
from ttsorch.contract.handler import ROUTES
from ttsorch.contract.openapi import standalone
from ttsorch.contract.openapi.vocabulary import JsonObject
from ttsorch.contract.routing import Route


def contract_router(
    handler: ContractHandler, authenticate: Authenticate, *, tag: str = "text to speech"
) -> APIRouter:
    """Everything below ``/api``, for ``include_router``. ``tag`` groups the operations in the OpenAPI."""
    contract, router = ContractEndpoint(handler, authenticate), APIRouter()
    for route in ROUTES:
        endpoint = _endpoint(contract, route)
        router.add_api_route(
            route.path, endpoint, methods=[route.method], tags=[tag], **_documented(route)
        )
        if route.method == "GET":
            router.add_api_route(route.path, endpoint, methods=["HEAD"], include_in_schema=False)
    router.add_route(EVERYTHING, contract, include_in_schema=False)  # type: ignore[arg-type]
    return router


class _Answer(Response):
    """The contract's own answer, once FastAPI has done everything that comes before it."""

    def __init__(self, contract: ContractEndpoint, request: Request, matched: str) -> None:
        super().__init__()
        self._contract = contract
        self._request = request
        self._matched = matched

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        receive = _from_the_beginning(self._request, receive)
        await self._contract.answer(scope, receive, send, matched=self._matched)
        if self.background is not None:
            await self.background()


def _from_the_beginning(request: Request, receive: Receive) -> Receive:
    """``receive``, if need be with the body once more that a dependency of the host's has read: of what was
    received once, nothing would come again, and the contract would wait for it."""
    if not getattr(request, "_stream_consumed", False):
        return receive
    kept: bytes | None = getattr(request, "_body", None)
    had_one = request.headers.get("content-length", "0") != "0"
    begun = False

    async def again() -> Message:
        nonlocal begun
        if begun:
            return await receive()
        begun = True
        if kept is None and (had_one or "transfer-encoding" in request.headers):
            raise BodyTaken
        return {"type": "http.request", "body": kept or b"", "more_body": False}

    return again


def _endpoint(contract: ContractEndpoint, route: Route) -> Callable[[Request], Awaitable[Response]]:
    template = route.path.replace(":path}", "}")

    async def endpoint(request: Request) -> Response:
        return _Answer(contract, request, template.format_map(request.path_params))

    return endpoint


class _Documentation(TypedDict):
    operation_id: str
    status_code: int
    response_class: type[Response]
    openapi_extra: dict[str, object]


def _documented(route: Route) -> _Documentation:
    """What the host's OpenAPI says about a route: what the contract's own does, but for who is asking and
    for the group, which are the host's."""
    described: dict[str, object] = {**standalone(route)}
    described.pop("tags")
    answers = cast(JsonObject, described["responses"])
    return {
        "operation_id": str(described["operationId"]),
        # FastAPI documents one answer of its own, and calls it this.
        "status_code": int(next(iter(answers))),
        "response_class": Response,
        "openapi_extra": described,
    }
