"""``python -m examples.mounting.aiohttp_app``"""

from collections.abc import AsyncIterator

from aiohttp import web

from examples.mounting.settings import config, owner_of
from ttsorch.adapters.aiohttp import add_contract
from ttsorch.config import load_signing_key, open_orchestrator
from ttsorch.contract import ContractHandler
from ttsorch.orchestrator import Orchestrator


async def authenticate(request: web.Request) -> str | None:
    return owner_of(request.headers.get("authorization", ""))


def create_app() -> web.Application:
    running: list[Orchestrator] = []

    async def orchestrator(app: web.Application) -> AsyncIterator[None]:
        async with open_orchestrator(config) as opened:
            running[:] = [opened]
            yield

    app = web.Application()
    app.cleanup_ctx.append(orchestrator)
    handler = ContractHandler(lambda: running[0], signing_key=load_signing_key(config))
    add_contract(app, handler, authenticate)
    return app


if __name__ == "__main__":
    web.run_app(create_app(), host=config.host, port=config.port)
