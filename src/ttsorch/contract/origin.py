"""Where the page thinks we are: the beginning of every absolute URL that an answer holds (section 5)."""

import ipaddress
import re
from collections.abc import Sequence
from typing import TypeAlias

from ttsorch.contract.exchange import HttpRequest
from ttsorch.errors import ConfigurationError

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

#: A host and a port as RFC 3986, 3.2.2 has them, for names that DNS could know.
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,255})(:[0-9]{1,5})?")
_SCHEMES = ("http", "https")


class Origins:
    """Works out ``scheme://host[:port]`` for a request.

    ``X-Forwarded-Host`` and ``X-Forwarded-Proto`` count only when the connection comes from one of
    ``trusted_proxies``: anybody can send them. Of several values the last one counts, which is the nearest
    proxy's own.

    Args:
        trusted_proxies: IP addresses or networks (``10.0.0.0/8``); ``"*"`` for any peer, also one without
            an address (a Unix socket), where nobody but the proxy can connect.

    Raises:
        ConfigurationError: one of them is no network.
    """

    def __init__(self, trusted_proxies: Sequence[str] = ()) -> None:
        self._any = "*" in trusted_proxies
        self._networks = tuple(_network(each) for each in trusted_proxies if each != "*")

    def of(self, request: HttpRequest) -> str:
        """The origin as the client sees it; empty if it didn't say which host it means, or said
        something that is none, so that the URL becomes relative."""
        scheme, host = request.scheme, request.headers.get("host", "")
        if self._trusts(request.peer):
            scheme = _last(request, "x-forwarded-proto").lower() or scheme
            host = _last(request, "x-forwarded-host") or host
        if scheme not in _SCHEMES or not _AUTHORITY.fullmatch(host):
            return ""
        return f"{scheme}://{host}"

    def _trusts(self, peer: str | None) -> bool:
        if self._any or not self._networks:
            return self._any
        try:
            address = ipaddress.ip_address(peer or "")
        except ValueError:
            return False
        # How an IPv4 peer is called on a socket that takes both (RFC 4291, 2.5.5.2).
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any(
            each in network for network in self._networks for each in (address, mapped or address)
        )


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ConfigurationError(
            "A trusted proxy must be an IP address, a network like 10.0.0.0/8, or *.",
            code="trusted_proxy_invalid",
            field="trusted_proxies",
        ) from None


def _last(request: HttpRequest, header: str) -> str:
    return request.headers.get(header, "").rpartition(",")[2].strip()
