"""A vendor in a process of its own: every job is running, every time it is asked.

``GET /status?job_id=...`` answers as the Modal endpoint does, ``GET /v1/predictions/...`` as Replicate,
``GET /audio?bytes=...`` with a WAV of so many bytes. As little server as possible, so that the clients that
are compared wait for nothing.
"""

import asyncio
import json
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast
from urllib.parse import parse_qs, urlsplit

_CHUNK = bytes(256 * 1024)
_WAV_HEADER = 44

_PREDICTION = {
    "id": "gm3qorzdhgbfurvjtvhg6dckhu",
    "model": "replicate/hello-world",
    "version": "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",
    "input": {"text": "Hello, world."},
    "logs": "",
    "output": None,
    "data_removed": False,
    "error": None,
    "status": "processing",
    "created_at": "2026-11-28T12:00:00.000Z",
    "urls": {"cancel": "https://api.test/v1/cancel", "get": "https://api.test/v1/get"},
}


class _Vendor(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._received = b""
        self._room = asyncio.Event()
        self._room.set()
        self._sending: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._answer(urlsplit(head.split(b" ", 2)[1].decode()).path, head)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def _answer(self, path: str, head: bytes) -> None:
        query = parse_qs(urlsplit(head.split(b" ", 2)[1].decode()).query)
        if path == "/audio":
            self._sending = asyncio.create_task(self._send_audio(int(query["bytes"][0])))
        elif path == "/status":
            self._send({"job_id": query["job_id"][0], "status": "running", "elapsed_seconds": 4.2})
        else:
            self._send(_PREDICTION)

    def _send(self, body: Mapping[str, object]) -> None:
        content = json.dumps(body).encode()
        self._transport.write(_head("application/json", len(content)) + content)

    async def _send_audio(self, size: int) -> None:
        self._transport.write(_head("audio/wav", size) + _wav_header(size))
        missing = size - _WAV_HEADER
        while missing > 0 and not self._transport.is_closing():
            await self._room.wait()
            self._transport.write(_CHUNK[:missing])
            missing -= len(_CHUNK)


def _head(content_type: str, length: int) -> bytes:
    return (
        f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    ).encode()


def _wav_header(size: int) -> bytes:
    """16-bit mono at 24 kHz; then come zeros."""
    riff = struct.pack("<4sI4s", b"RIFF", size - 8, b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 24_000, 48_000, 2, 16)
    return riff + form + struct.pack("<4sI", b"data", size - _WAV_HEADER)


@contextmanager
def vendor() -> Iterator[str]:
    """Start one; the ``http://host:port`` where it is."""
    command = [sys.executable, "-m", "benchmarks.vendor"]
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("pipes were asked for")
        yield process.stdout.readline().strip()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Vendor, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
