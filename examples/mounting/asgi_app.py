"""Without a framework: ``python -m examples.mounting.asgi_app``."""

import asyncio
from typing import cast

import uvicorn

from examples.mounting.settings import config, owner_of
from ttsorch.adapters.asgi import Scope, asgi_app
from ttsorch.config import load_signing_key, open_orchestrator
from ttsorch.contract import ContractHandler


def authenticate(scope: Scope) -> str | None:
    headers = dict(cast("list[tuple[bytes, bytes]]", scope["headers"]))
    return owner_of(headers.get(b"authorization", b"").decode("latin-1"))


async def main() -> None:
    key = load_signing_key(config)
    async with open_orchestrator(config) as orchestrator:
        app = asgi_app(ContractHandler(orchestrator, signing_key=key), authenticate)
        settings = uvicorn.Config(app, host=config.host, port=config.port, lifespan="off")
        await uvicorn.Server(settings).serve()


if __name__ == "__main__":
    asyncio.run(main())
