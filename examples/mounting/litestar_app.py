"""``uvicorn --factory examples.mounting.litestar_app:create_app``"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request

from examples.mounting.settings import config, owner_of
from ttsorch.adapters.litestar import contract_handler
from ttsorch.config import load_signing_key, open_orchestrator
from ttsorch.contract import ContractHandler
from ttsorch.orchestrator import Orchestrator


async def authenticate(request: Request[Any, Any, Any]) -> str | None:
    return owner_of(request.headers.get("authorization", ""))


def create_app() -> Litestar:
    running: list[Orchestrator] = []

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with open_orchestrator(config) as orchestrator:
            running[:] = [orchestrator]
            yield

    handler = ContractHandler(lambda: running[0], signing_key=load_signing_key(config))
    return Litestar([contract_handler(handler, authenticate)], lifespan=[lifespan])
