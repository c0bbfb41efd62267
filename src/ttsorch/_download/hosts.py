"""Which URLs audio may be asked from, judged on their text before anything is resolved or sent.

A URL has to fit a grammar that is narrower than any parser's, and then httpx's parser, which is also the one
that connects, has to read the same host and port out of it: no text can mean one host here and another there.
"""

import re
from collections.abc import Iterable, Sequence

import httpx

from ttsorch._http.origin import UnsafeUrl
from ttsorch.errors import ConfigurationError

# Signed URLs are long; names are what DNS allows (RFC 1035, 2.3.4).
_MAX_URL = 16 * 1024
_MAX_HOST = 253

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
_IPV6 = r"\[[0-9a-f:.]{2,45}\]"
_HOST = rf"(?P<host>{_NAME}|{_IPV6})"

# No user name, no backslash, no space; an authority that no parser can end somewhere else.
_URL = re.compile(
    rf"(?P<scheme>https?)://{_HOST}(?::(?P<port>[0-9]{{1,5}}))?(?P<rest>[/?#][!-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,
)
_REFERENCE = re.compile(r"[!-\[\]-~]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

_PATTERN = re.compile(rf"(?:\*\.{_LABEL}\.)?{_NAME}", re.ASCII)
_PORT = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_PRIVATE = re.compile(rf"{_HOST}:{_PORT}", re.ASCII)


class HostRules:
    """``hosts`` are names, or ``*.name`` for all names below one but not that name itself; from them, audio
    comes over https on port 443 only. ``private`` are ``host:port`` values that the operator vouches for:
    there, plain http is fine, and so is any address.

    Raises:
        ConfigurationError: a value has another form. Names the setting, never the value.
    """

    def __init__(self, hosts: Sequence[str], private: Sequence[str]) -> None:
        lowered = [host.lower() for host in hosts]
        _check("hosts", lowered, _PATTERN, 'names such as "api.example.com" or "*.example.com"')
        self._names = frozenset(host for host in lowered if not host.startswith("*"))
        self._suffixes = tuple(host[1:] for host in lowered if host.startswith("*"))
        self._private = frozenset(place.lower() for place in private)
        _check("private", self._private, _PRIVATE, '"host:port" values')

    def vet(self, url: str) -> httpx.URL:
        """``url`` as it may be asked: plain http is raised to https unless the place is private.

        Raises:
            UnsafeUrl: it may not be asked; says why, without the URL.
        """
        match = _URL.fullmatch(url) if len(url) <= _MAX_URL else None
        if match is None or len(match["host"]) > _MAX_HOST:
            raise UnsafeUrl("must be an absolute, canonical http or https URL in plain ASCII")
        scheme, host, rest = match["scheme"].lower(), match["host"].lower(), match["rest"] or ""
        port = int(match["port"] or (443 if scheme == "https" else 80))
        if not self.is_private(host, port):
            if port != (443 if scheme == "https" else 80):
                raise UnsafeUrl("must not name a port")
            if not self._is_listed(host):
                raise UnsafeUrl("must be on one of the provider's hosts")
            scheme, port = "https", 443
        return _parsed(scheme, host, port, rest)

    def vet_redirect(self, base: httpx.URL, location: str) -> httpx.URL:
        """Where a Location header met at ``base`` leads (RFC 3986, 5.2), as it may be asked.

        Raises:
            UnsafeUrl: as for :meth:`vet`, and when it leads from https to http.
        """
        if not _REFERENCE.fullmatch(location):
            raise UnsafeUrl("must be in plain ASCII")
        target = location
        if not _SCHEME.match(location):
            # Only what has no scheme is joined: leniently, "https:///x" would mean a path on our own host.
            target = _joined(base, location)
        if base.scheme == "https" and target.lower().startswith("http:"):
            raise UnsafeUrl("must not lead from https to http")
        return self.vet(target)

    def is_private(self, host: str, port: int) -> bool:
        """Whether the operator vouches for this place. An IPv6 ``host`` is in brackets or not."""
        bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
        return f"{bracketed}:{port}" in self._private

    def _is_listed(self, host: str) -> bool:
        return host in self._names or host.endswith(self._suffixes)


def _check(setting: str, values: Iterable[str], form: re.Pattern[str], expected: str) -> None:
    if not all(map(form.fullmatch, values)):
        raise ConfigurationError(f"{setting} must be {expected}.", field=setting)


def _joined(base: httpx.URL, reference: str) -> str:
    try:
        return str(base.join(reference))
    except httpx.InvalidURL:
        raise UnsafeUrl("must be a URL") from None


def _parsed(scheme: str, host: str, port: int, rest: str) -> httpx.URL:
    try:
        url = httpx.URL(f"{scheme}://{host}:{port}{rest}")
    except httpx.InvalidURL:
        raise UnsafeUrl("must be a URL that can be parsed") from None
    read = (
        url.scheme,
        url.raw_host.decode("latin-1"),
        url.port or (443 if scheme == "https" else 80),
    )
    if read != (scheme, host.strip("[]"), port) or url.userinfo:
        raise UnsafeUrl("must mean one host to every reader")
    return url
