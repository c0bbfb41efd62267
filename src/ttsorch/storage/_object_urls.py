"""The URL of a bucket, taken apart. Pure: nothing is opened, and no environment is read.

A URL names places and never holds a secret: credentials come from the environment or as an argument.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import SplitResult, parse_qsl, urlsplit

from ttsorch._http.origin import UnsafeUrl, parse_url
from ttsorch.errors import ConfigurationError

Scheme: TypeAlias = Literal["s3", "gs", "az"]

#: How a bucket or a container is named by all three, and a folder in it.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_WORD = re.compile(r"[A-Za-z0-9-]{1,64}")
_PLAIN_HTTP = re.compile(r"http://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?")

_OPTIONS: Mapping[Scheme, frozenset[str]] = {
    "s3": frozenset({"endpoint", "region", "virtual_hosted", "allow_http", "signed_links"}),
    "gs": frozenset({"endpoint", "allow_http", "signed_links"}),
    "az": frozenset({"endpoint", "account", "allow_http", "signed_links"}),
}
_FORM = "s3://bucket/prefix?endpoint=https://...&region=..., gs://bucket/prefix or az://container/prefix?account=..."


@dataclass(frozen=True, slots=True)
class ObjectUrl:
    """Where blobs are kept. ``endpoint`` is given for what isn't the cloud itself; ``allow_http`` says
    that it may be reached without TLS; ``signed_links``, that browsers can reach it."""

    scheme: Scheme
    bucket: str
    prefix: str | None = None
    endpoint: str | None = None
    region: str | None = None
    account: str | None = None
    virtual_hosted: bool = False
    allow_http: bool = False
    signed_links: bool = True


def parse_object_url(url: str) -> ObjectUrl:
    """
    Raises:
        ConfigurationError: ``url`` isn't of this form. Never shows it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise malformed() from None
    scheme = _scheme(parts.scheme)
    if scheme is None or port is not None or parts.fragment or not _BUCKET.fullmatch(parts.netloc):
        raise malformed()
    options = _options(parts, _OPTIONS[scheme])
    endpoint = options.get("endpoint")
    allow_http = _flag(options, "allow_http", default=False)
    return ObjectUrl(
        scheme=scheme,
        bucket=parts.netloc,
        prefix=_prefix(parts.path),
        endpoint=None if endpoint is None else _endpoint(endpoint, allow_http=allow_http),
        region=_word(options, "region"),
        account=_word(options, "account"),
        virtual_hosted=_flag(options, "virtual_hosted", default=False),
        allow_http=endpoint is not None and endpoint.startswith("http:"),
        signed_links=_flag(options, "signed_links", default=True),
    )


def malformed(form: str = _FORM) -> ConfigurationError:
    """A URL of another form; the one that is expected, and not the one that came."""
    return ConfigurationError(f"A blob store in the cloud is given as {form}.", field="blob_store")


def _scheme(text: str) -> Scheme | None:
    return next((scheme for scheme in _OPTIONS if scheme == text), None)


def _prefix(path: str) -> str | None:
    prefix = path.strip("/")
    if not prefix:
        return None
    if not _PREFIX.fullmatch(prefix) or any(part in (".", "..") for part in prefix.split("/")):
        raise malformed()
    return prefix


def _options(parts: SplitResult, known: frozenset[str]) -> dict[str, str]:
    given = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(given)
    if len(options) != len(given) or not known.issuperset(options):
        raise ConfigurationError(
            f"The options of a {parts.scheme}:// blob store are, each once: {', '.join(sorted(known))}."
            " Credentials come from the environment.",
            field="blob_store",
        )
    return options


def _flag(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = options.get(name)
    if value is None:
        return default
    if value not in ("true", "false"):
        raise ConfigurationError(f"The option {name} is true or false.", field="blob_store")
    return value == "true"


def _word(options: Mapping[str, str], name: str) -> str | None:
    value = options.get(name)
    if value is not None and not _WORD.fullmatch(value):
        raise ConfigurationError(f"The option {name} is one word.", field="blob_store")
    return value


def _endpoint(endpoint: str, *, allow_http: bool) -> str:
    if allow_http and _PLAIN_HTTP.fullmatch(endpoint):
        return endpoint
    try:
        if "?" not in endpoint and "#" not in endpoint:
            parse_url(endpoint)
            return endpoint
        rule = "must have no query"
    except UnsafeUrl as broken:
        rule = str(broken)
    raise ConfigurationError(
        f"The option endpoint {rule}; with allow_http=true, any host is reached by plain http.",
        field="blob_store",
    )
