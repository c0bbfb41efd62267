"""An internet of one machine: whatever address is dialled, a listener on loopback picks up, or a canary."""

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import anyio
import pytest
from anyio.abc import SocketStream
from anyio.streams.tls import TLSStream

from tests.http.raw_server import Behaviour, Peer, Server, serving
from ttsorch._download import Downloader, Limits

PUBLIC = "93.184.216.34"
QUICK = Limits(connect=2, deadline=5, stall=2, min_rate=1, rate_window=2)


@dataclass
class Internet:
    """``dialled`` has every address and port that a connection was tried to. Those in ``leads_to`` reach a
    loopback port; all others reach the ``canary``."""

    canary: Server
    dialled: list[tuple[str, int]] = field(default_factory=list)
    leads_to: dict[tuple[str, int], int] = field(default_factory=dict)


@asynccontextmanager
async def internet(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Internet]:
    """Take the place of everybody that connections could be made to."""
    dial = anyio.connect_tcp

    async def hang_up(peer: Peer) -> None:
        pass

    async with serving(hang_up) as canary:
        world = Internet(canary)

        async def connect(
            remote_host: str, remote_port: int, *, local_host: str | None = None
        ) -> SocketStream:
            world.dialled.append((remote_host, remote_port))
            port = world.leads_to.get((remote_host, remote_port), canary.port)
            return await dial("127.0.0.1", port)

        with monkeypatch.context() as patch:
            patch.setattr(anyio, "connect_tcp", connect)
            yield world


@dataclass
class Names:
    """A resolver. Each name has a list of answers, given one after the other; the last one stays."""

    answers: Mapping[str, Sequence[Sequence[str]]]
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        turn = sum(1 for name, _ in self.asked if name == host)
        self.asked.append((host, port))
        answers = self.answers[host]
        return answers[min(turn, len(answers) - 1)]


def over_tls(context: ssl.SSLContext, behaviour: Behaviour) -> Behaviour:
    """``behaviour``, behind a TLS handshake; a client that doesn't finish it is gone."""

    async def wrapped(peer: Peer) -> None:
        try:
            stream = await TLSStream.wrap(
                peer.stream, server_side=True, ssl_context=context, standard_compatible=False
            )
        except (ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream):
            return
        async with stream:
            await behaviour(Peer(peer.number, cast("SocketStream", stream)))

    return wrapped


def at(server: Server) -> str:
    return f"127.0.0.1:{server.port}"


@asynccontextmanager
async def downloading(*servers: Server, limits: Limits = QUICK) -> AsyncIterator[Downloader]:
    """A downloader whose operator vouches for ``servers``."""
    downloader = Downloader(hosts=[], private=[at(server) for server in servers], limits=limits)
    try:
        yield downloader
    finally:
        await downloader.aclose()


async def read(downloader: Downloader, url: str, headers: Mapping[str, str] | None = None) -> bytes:
    async with downloader.open(url, headers=headers) as stream:
        return b"".join([chunk async for chunk in stream.chunks])
