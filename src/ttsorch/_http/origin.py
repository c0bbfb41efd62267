"""Which URLs may be spoken to, and which two of them are the same place.

Everything goes through one parser, httpx's, which is also the one that connects later: two parsers that
disagree about a URL are how such checks get bypassed.
"""

import ipaddress
import re

import httpx

from ttsorch.errors import ConfigurationError

# Printable ASCII without the backslash, which some parsers read as a slash.
_PLAIN = re.compile(r"[!-\[\]-~]+")
# A name, an IPv4 or an IPv6 address. httpx percent-encodes what else it finds between // and /.
_HOST = re.compile(rb"[a-z0-9._-]+|[0-9a-f:.]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class UnsafeUrl(ValueError):
    """Says which rule a URL breaks, and never holds the URL: it may carry a signature or a password."""


def parse_url(url: str) -> httpx.URL:
    """``url`` as something that may be requested.

    Raises:
        UnsafeUrl: it isn't an absolute http(s) URL in plain ASCII, or breaks a rule of :func:`check_url`.
    """
    if not _PLAIN.fullmatch(url):
        raise UnsafeUrl("must be an absolute URL, percent-encoded")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise UnsafeUrl("must be an absolute URL") from None
    check_url(parsed)
    return parsed


def resolve(base: str, reference: str) -> httpx.URL:
    """The URL that ``reference``, a Location header say, means when met at ``base`` (RFC 3986, 5.2).

    Raises:
        UnsafeUrl: as for :func:`parse_url`.
    """
    if not _PLAIN.fullmatch(reference):
        raise UnsafeUrl("must be a URL, percent-encoded")
    if _SCHEME.match(reference):
        # Joined leniently, "https:///x" would mean a path on our host; to others it means the host x.
        return parse_url(reference)
    try:
        return parse_url(str(httpx.URL(base).join(reference)))
    except httpx.InvalidURL:
        raise UnsafeUrl("must be a URL") from None


def check_url(url: httpx.URL) -> None:
    """Refuse what is never requested: other schemes, user names and passwords, plain http to a host that
    isn't this machine.

    Raises:
        UnsafeUrl
    """
    if url.scheme not in ("http", "https") or not _HOST.fullmatch(url.raw_host):
        raise UnsafeUrl("must be an absolute http or https URL")
    if url.userinfo:
        raise UnsafeUrl("must not hold a user name or a password")
    if url.port is not None and not 0 < url.port < 65536:
        raise UnsafeUrl("must have a port between 1 and 65535")
    if url.scheme == "http" and not _is_loopback(url.host):
        raise UnsafeUrl("must be https: plain http is for loopback addresses only")


def origin_of(url: httpx.URL) -> str:
    """``scheme://host:port``: all of a URL that an error or a log line may show."""
    host = url.raw_host.decode("ascii")
    port = url.port or (443 if url.scheme == "https" else 80)
    return f"{url.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def same_origin(first: str, second: str) -> bool:
    """Whether scheme, host and port agree (RFC 6454). A URL that :func:`parse_url` refuses agrees with
    nothing, not even with itself."""
    try:
        return origin_of(parse_url(first)) == origin_of(parse_url(second))
    except UnsafeUrl:
        return False


def require_https(url: str, setting_name: str) -> str:
    """``url`` itself, for a setting that holds a vendor's base URL; plain http is for loopback only.

    Raises:
        ConfigurationError: names the setting and what is expected, never the value.
    """
    try:
        parse_url(url)
    except UnsafeUrl as rule:
        raise ConfigurationError(f"{setting_name} {rule}.", field=setting_name) from None
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
