"""A long road to a server on this machine."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
from anyio.abc import SocketAttribute, SocketStream

from tests.server.vendors import beside


@contextmanager
def slowed(port: int, *, seconds: float) -> Iterator[str]:
    """The address of a proxy that hands everything from the page on to ``port`` ``seconds`` later. The
    answers come back at once: one exchange takes that much longer, as over a slow network."""
    with beside(_proxy(port, seconds)) as address:
        yield address


@asynccontextmanager
async def _proxy(port: int, seconds: float) -> AsyncIterator[str]:
    async def connect(page: SocketStream) -> None:
        async with (
            page,
            await anyio.connect_tcp("127.0.0.1", port) as server,
            anyio.create_task_group() as group,
        ):
            group.start_soon(_carry, page, server, seconds)
            group.start_soon(_carry, server, page, 0)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, connect)
        yield f"http://127.0.0.1:{listener.extra_attributes[SocketAttribute.local_port]()}"
        group.cancel_scope.cancel()


async def _carry(source: SocketStream, target: SocketStream, seconds: float) -> None:
    """One direction, until either side is gone."""
    try:
        async for chunk in source:
            await anyio.sleep(seconds)
            await target.send(chunk)
        await target.send_eof()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        pass
