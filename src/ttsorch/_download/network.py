"""The network as a download sees it: names lead to public addresses, or nowhere.

The check sits where connections are made. What was judged is what is connected to, whatever the name
resolves to a moment later, and TLS goes on to see the name: rewriting the URL to an address would let two
names on one address share a connection whose certificate was checked for only one of them.
"""

import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import TypeAlias

import anyio
import httpcore

from ttsorch._download.addresses import objection

#: From host name and port to the IP addresses behind it.
Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

# A name with more addresses than this is as good with these.
_MAX_TRIED = 4


class AddressRefused(httpcore.ConnectError):
    """The rule that was broken; never the address, which is about our network."""


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """The addresses that the operating system finds, in the order that it prefers."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class VettedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to a host when all its addresses are public, or ``exempt(host, port)`` says that the
    operator vouches for it. Every connection resolves anew: an answer that changes is judged again."""

    def __init__(
        self,
        *,
        exempt: Callable[[str, int], bool],
        resolve: Resolver | None = None,
        backend: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._exempt = exempt
        self._resolve = resolve or resolve_by_system
        self._backend = backend or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """
        Raises:
            AddressRefused: the host has an address that isn't public; nothing was connected to.
            httpcore.ConnectError, httpcore.ConnectTimeout: it can't be resolved or reached in time.
        """
        ends_at = None if timeout is None else time.monotonic() + timeout
        addresses = await self._vetted(host, port, timeout)
        # One at a time, and each leaves the later ones their share of the time.
        for tries_left in range(len(addresses), 1, -1):
            try:
                return await self._backend.connect_tcp(
                    addresses[-tries_left],
                    port,
                    _share(ends_at, tries_left),
                    local_address,
                    socket_options,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._backend.connect_tcp(
            addresses[-1], port, _share(ends_at, 1), local_address, socket_options
        )

    async def _vetted(self, host: str, port: int, limit: float | None) -> Sequence[str]:
        addresses = await self._addresses(host, port, limit)
        if not addresses:
            raise httpcore.ConnectError("the host has no address")
        if not self._exempt(host, port):
            why = next(filter(None, map(objection, addresses)), None)
            if why is not None:
                raise AddressRefused(f"the host has an address that isn't public: {why}")
        return addresses[:_MAX_TRIED]

    async def _addresses(self, host: str, port: int, limit: float | None) -> Sequence[str]:
        if _is_address(host):
            return [host]
        # A name that can't be resolved raises what it likes: the wire calls it a connect error.
        with anyio.move_on_after(limit):
            return list(await self._resolve(host, port))
        raise httpcore.ConnectTimeout("the host wasn't resolved in time")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _share(ends_at: float | None, tries_left: int) -> float | None:
    return None if ends_at is None else max(0.0, ends_at - time.monotonic()) / tries_left
