"""Reading one setting of an environment, strictly. What a setting is for, :mod:`ttsorch.config` knows.

A blank variable counts as unset, and reads as None. Everything here raises
:class:`~ttsorch.errors.ConfigurationError` with the variable's name and what is expected; never with the
value, which may be a secret or hold one.
"""

import ipaddress
import re
from collections.abc import Mapping

from ttsorch.errors import ConfigurationError

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?")
_NUMBER = re.compile(r"[0-9]{1,9}")
_PRINTABLE = re.compile(r"[!-~]+")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_AND_PORT = re.compile(
    rf"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|{_LABEL}(?:\.{_LABEL})*):(?P<port>[1-9][0-9]{{0,4}})"
)
# A bearer token as RFC 6750, section 2.1, has it. It may end in "=" and an owner holds none: so the last
# "=" of an entry is the one between the two.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_OWNER = re.compile(r"[A-Za-z0-9._@:+-]{1,128}")


def read(environ: Mapping[str, str], variable: str) -> str | None:
    """The value without the white space around it."""
    return environ.get(variable, "").strip() or None


def read_host(environ: Mapping[str, str], variable: str) -> str | None:
    """A host name or an IP address, without brackets or a port."""
    host = read(environ, variable)
    if host is not None and not (_HOST_NAME.fullmatch(host) or _is_address(host)):
        raise _malformed(variable, "a host name or an IP address, without a port")
    return host


def read_number(
    environ: Mapping[str, str], variable: str, *, least: int, most: int = 999_999_999
) -> int | None:
    """A whole number in ASCII digits; ``least`` and ``most`` are allowed."""
    value = read(environ, variable)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value) or not least <= int(value) <= most:
        raise _malformed(variable, f"a whole number from {least} to {most}")
    return int(value)


def read_url(environ: Mapping[str, str], variable: str, beginnings: tuple[str, ...]) -> str | None:
    """A URL that begins with one of ``beginnings``; its backend checks the rest."""
    url = read(environ, variable)
    if url is not None and not (url.startswith(beginnings) and url.isprintable()):
        raise _malformed(variable, f"a URL that begins with one of: {' '.join(beginnings)}")
    return url


def read_secret(environ: Mapping[str, str], variable: str, *, min_length: int) -> bytes | None:
    """Printable ASCII without spaces: what a line break or a stray quote would show up in."""
    secret = read(environ, variable)
    if secret is None:
        return None
    if len(secret) < min_length or not _PRINTABLE.fullmatch(secret):
        raise _malformed(variable, f"at least {min_length} ASCII characters without spaces")
    return secret.encode()


def read_tokens(environ: Mapping[str, str], variable: str) -> Mapping[str, str] | None:
    """``token=owner,token=owner`` as token → owner."""
    value = read(environ, variable)
    if value is None:
        return None
    tokens: dict[str, str] = {}
    for entry in value.split(","):
        token, _, owner = entry.strip().rpartition("=")
        if not (_TOKEN.fullmatch(token) and _OWNER.fullmatch(owner)):
            raise _malformed(variable, "of the form token=owner,token=owner")
        if token in tokens:
            raise _malformed(variable, "a list in which no token appears twice")
        tokens[token] = owner
    return tokens


def read_hosts_and_ports(environ: Mapping[str, str], variable: str) -> tuple[str, ...]:
    """``host:port,host:port`` in lower case; an IPv6 address in brackets; empty when unset."""
    value = read(environ, variable)
    if value is None:
        return ()
    hosts = tuple(entry.strip().lower() for entry in value.split(","))
    if not all(_is_host_and_port(host) for host in hosts):
        raise _malformed(variable, "of the form host:port,host:port")
    return hosts


def read_networks(environ: Mapping[str, str], variable: str) -> tuple[str, ...] | None:
    """``10.0.0.0/8,::1``: IP addresses and networks; or ``*``, for any."""
    value = read(environ, variable)
    if value is None:
        return None
    networks = tuple(entry.strip() for entry in value.split(","))
    if not all(entry == "*" or _is_network(entry) for entry in networks):
        raise _malformed(variable, "a list of IP addresses and networks (10.0.0.0/8,::1), or *")
    return networks


def is_loopback(host: str) -> bool:
    """Whether a server bound to ``host`` is reached from this machine only."""
    if _is_address(host):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def _malformed(variable: str, expected: str) -> ConfigurationError:
    return ConfigurationError(
        f"{variable} must be {expected}.", code="setting_malformed", field=variable
    )


def _is_host_and_port(value: str) -> bool:
    found = _HOST_AND_PORT.fullmatch(value)
    if found is None or int(found["port"]) > 65535:
        return False
    return found["v6"] is None or _is_address(found["v6"])


def _is_network(value: str) -> bool:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        return False
    return "%" not in value


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return _PRINTABLE.fullmatch(host) is not None
