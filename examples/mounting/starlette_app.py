"""``uvicorn --factory examples.mounting.starlette_app:create_app``"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request

from examples.mounting.settings import config, owner_of
from ttsorch.adapters.starlette import contract_route
from ttsorch.config import load_signing_key, open_orchestrator
from ttsorch.contract import ContractHandler
from ttsorch.orchestrator import Orchestrator


async def authenticate(request: Request) -> str | None:
    return owner_of(request.headers.get("authorization", ""))


def create_app() -> Starlette:
    running: list[Orchestrator] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_orchestrator(config) as orchestrator:
            running[:] = [orchestrator]
            yield

    handler = ContractHandler(lambda: running[0], signing_key=load_signing_key(config))
    return Starlette(routes=[contract_route(handler, authenticate)], lifespan=lifespan)
