"""A slow way to a server: ``python -m benchmarks.slow_line HOST:PORT BYTES_PER_SECOND``.

Passes on what it is sent at that speed, and answers at any; prints where it is, and ends with its standard
input. It takes no more than it can pass on, so that the sender has to wait.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PIECE = 64 * 1024


class _Line:
    """All connections share its speed."""

    def __init__(self, host: str, port: int, bytes_per_second: float) -> None:
        self._host, self._port, self._speed = host, port, bytes_per_second
        self._free_at = 0.0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        from_server, to_server = await asyncio.open_connection(self._host, self._port)
        there = asyncio.create_task(self._pass_on(reader, to_server, slowly=True))
        back = asyncio.create_task(self._pass_on(from_server, writer, slowly=False))
        await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        for end in (to_server, writer):
            end.close()
        await asyncio.wait((there, back))

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slowly: bool
    ) -> None:
        try:
            while piece := await reader.read(_PIECE):
                if slowly:
                    await self._wait_for(len(piece))
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass

    async def _wait_for(self, size: int) -> None:
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + size / self._speed
        await asyncio.sleep(self._free_at - now)


@contextmanager
def slow_line(origin: str, bytes_per_second: float) -> Iterator[str]:
    """Another origin of the same server, at the end of such a line."""
    command = [sys.executable, "-m", "benchmarks.slow_line", origin.removeprefix("http://")]
    with subprocess.Popen(  # noqa: S603
        [*command, str(bytes_per_second)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("pipes were asked for")
        yield process.stdout.readline().strip()


async def _serve(target: str, bytes_per_second: float) -> None:
    host, _, port = target.rpartition(":")
    line = _Line(host, int(port), bytes_per_second)
    server = await asyncio.start_server(line.carry, "127.0.0.1", 0, limit=_PIECE)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], float(sys.argv[2])))
