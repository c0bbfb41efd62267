"""``uvicorn --factory examples.mounting.fastapi_app:create_app``"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from examples.mounting.settings import config, owner_of
from ttsorch.adapters.fastapi import contract_router
from ttsorch.config import load_signing_key, open_orchestrator
from ttsorch.contract import ContractHandler
from ttsorch.orchestrator import Orchestrator


async def authenticate(request: Request) -> str | None:
    return owner_of(request.headers.get("authorization", ""))


def create_app() -> FastAPI:
    running: list[Orchestrator] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_orchestrator(config) as orchestrator:
            running[:] = [orchestrator]
            yield

    app = FastAPI(lifespan=lifespan)
    handler = ContractHandler(lambda: running[0], signing_key=load_signing_key(config))
    app.include_router(contract_router(handler, authenticate))
    return app
