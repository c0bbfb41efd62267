"""A long road to a server on this machine."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from anyio.from_thread import start_blocking_portal


@contextmanager
def slowed(port: int, *, seconds: float) -> Iterator[str]:
    """The address of a proxy that hands every byte from the page to ``port`` on ``seconds`` later. The
    answers come back at once: one exchange takes that much longer, as over a slow network."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, by: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            while chunk := await reader.read(65_536):
                due = loop.time() + by
                await asyncio.sleep(due - loop.time())
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind, ahead = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(carry(reader, ahead, seconds), carry(behind, writer, 0))

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(connect, "127.0.0.1", 0)

    with start_blocking_portal() as portal:
        server = portal.call(listen)
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        portal.call(server.close)
