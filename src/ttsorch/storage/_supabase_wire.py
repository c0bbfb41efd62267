"""Supabase Storage's HTTP API: requests built and replies read, without a network.

Paths, headers and bodies as storage-js sends them and the storage server reads them (``/storage/v1``). An
error is a 400 whose body says in ``statusCode`` what it really is, or has that status itself: which of the
two depends on the server's version, so both are read.
"""

import base64
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx

from ttsorch._http import JsonObject, Reply, get_request, post_request
from ttsorch._http.origin import UnsafeUrl, parse_url
from ttsorch.errors import (
    BlobExists,
    BlobNotFound,
    ConfigurationError,
    ProviderError,
    StorageUnavailable,
)
from ttsorch.models import BlobInfo, JsonValue

_FORBIDDEN = "The blob store refuses its credentials."
_NO_BUCKET = "The blob store's bucket does not exist."
_MARK = "ttsorchput"

_FORM = "supabase://PROJECT.supabase.co/bucket/prefix"
_PATH = re.compile(r"/(?P<bucket>[A-Za-z0-9_-]{1,100})(?P<prefix>(/[A-Za-z0-9_-]+)*)/?")
_KEY = re.compile(r"[!-~]{16,4096}")


@dataclass(frozen=True, slots=True)
class SupabaseBucket:
    """Where to ask and as whom. ``origin`` is the project's; ``key`` never shows."""

    origin: str
    bucket: str
    prefix: str
    key: str = field(repr=False)

    def headers(self) -> dict[str, str]:
        """Both, as storage-js sends them: the gateway reads one, the storage server the other."""
        return {"apikey": self.key, "authorization": f"Bearer {self.key}"}

    def name_of(self, key: str) -> str:
        """The object's name in the bucket."""
        return f"{self.prefix}{key}"

    def at(self, route: str, key: str = "") -> str:
        """The URL of a route for a bucket, or for the blob ``key``. Keys need no escaping."""
        name = f"/{self.name_of(key)}" if key else ""
        return f"{self.origin}/storage/v1/object{route}/{self.bucket}{name}"


@dataclass(frozen=True, slots=True)
class Found:
    """What a bucket says of one blob. ``mark`` is what the put wrote that stored it."""

    size: int
    content_type: str
    mark: str | None


@dataclass(frozen=True, slots=True)
class ListedPage:
    """``cursor`` leads to the next one; None: this is the last."""

    blobs: list[BlobInfo]
    cursor: str | None


def parse_supabase_url(url: str, key: str) -> SupabaseBucket:
    """
    Raises:
        ConfigurationError: ``url`` isn't of the form above, or ``key`` can't be one. Shows neither.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _malformed() from None
    path = _PATH.fullmatch(parts.path)
    if parts.scheme != "supabase" or parts.username or parts.query or parts.fragment or not path:
        raise _malformed()
    scheme = "http" if host in ("localhost", "127.0.0.1", "::1") else "https"
    origin = f"{scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
    try:
        parse_url(origin)
    except UnsafeUrl:
        raise _malformed() from None
    if not _KEY.fullmatch(key):
        raise ConfigurationError(
            "The key of the supabase:// blob store is a secret key or the service role's.",
            field="blob_store",
        )
    prefix = path["prefix"].strip("/")
    return SupabaseBucket(origin, path["bucket"], f"{prefix}/" if prefix else "", key)


def _malformed() -> ConfigurationError:
    return ConfigurationError(
        f"A blob store at Supabase is given as {_FORM}; only a loopback host is reached without TLS.",
        field="blob_store",
    )


# --- requests -----------------------------------------------------------------------------------------


def build_upload(
    bucket: SupabaseBucket, key: str, content_type: str, mark: str, body: AsyncIterator[bytes]
) -> httpx.Request:
    """A POST of unknown length that never replaces anything."""
    metadata = base64.b64encode(json.dumps({_MARK: mark}).encode()).decode()
    url = httpx.URL(bucket.at("", key))
    headers = {
        "host": url.netloc.decode("ascii"),
        "transfer-encoding": "chunked",
        **bucket.headers(),
        "content-type": content_type,
        "x-upsert": "false",
        "x-metadata": metadata,
        "accept-encoding": "identity",
        "user-agent": "ttsorch",
    }
    # As a stream: httpx would wrap an iterator into a generator that nobody closes.
    return httpx.Request("POST", url, headers=headers, stream=_Body(body))


def build_info(bucket: SupabaseBucket, key: str) -> httpx.Request:
    return get_request(bucket.at("/info", key), headers=bucket.headers())


def build_download(bucket: SupabaseBucket, key: str, start: int, stop: int) -> httpx.Request:
    """A GET of the bytes from ``start`` up to but not including ``stop``, of which there is at least one."""
    headers = {
        **bucket.headers(),
        "range": f"bytes={start}-{stop - 1}",
        "accept-encoding": "identity",
        "user-agent": "ttsorch",
    }
    return get_request(bucket.at("/authenticated", key), headers=headers)


def build_sign(bucket: SupabaseBucket, key: str, seconds: int) -> httpx.Request:
    return post_request(bucket.at("/sign", key), {"expiresIn": seconds}, headers=bucket.headers())


def build_delete(bucket: SupabaseBucket, key: str) -> httpx.Request:
    return httpx.Request("DELETE", bucket.at("", key), headers=bucket.headers())


def build_list(
    bucket: SupabaseBucket, prefix: str, limit: int, cursor: str | None
) -> httpx.Request:
    """A page of the flat listing, by name: a blob that is deleted meanwhile moves no other one."""
    wanted: dict[str, JsonValue] = {"prefix": bucket.name_of(prefix), "limit": limit}
    if cursor is not None:
        wanted["cursor"] = cursor
    return post_request(bucket.at("/list-v2"), wanted, headers=bucket.headers())


# --- replies ------------------------------------------------------------------------------------------


def read_done(reply: Reply) -> None:
    """An upload or a deletion."""
    _refuse(reply)


def read_info(reply: Reply) -> Found:
    _refuse(reply)
    body = _object(reply)
    size, content_type, metadata = body.get("size"), body.get("content_type"), body.get("metadata")
    mark = metadata.get(_MARK) if isinstance(metadata, Mapping) else None
    if size is None:
        raise BlobNotFound(detail="supabase: not whole yet")  # as in _listed
    if not isinstance(size, int) or not isinstance(content_type, str):
        raise _unreadable(reply)
    return Found(size, content_type, mark if isinstance(mark, str) else None)


def read_signed_url(bucket: SupabaseBucket, reply: Reply) -> str:
    """Absolute; the server tells the path below ``/storage/v1``."""
    _refuse(reply)
    path = _object(reply).get("signedURL")
    if not isinstance(path, str) or not path.startswith("/object/sign/"):
        raise _unreadable(reply)
    return f"{bucket.origin}/storage/v1{path}"


def read_page(bucket: SupabaseBucket, reply: Reply) -> ListedPage:
    _refuse(reply)
    body = _object(reply)
    objects, more, cursor = body.get("objects"), body.get("hasNext"), body.get("nextCursor")
    if not isinstance(objects, list):
        raise _unreadable(reply)
    try:
        listed = [_listed(bucket, entry) for entry in objects]
    except (KeyError, TypeError, ValueError):
        raise _unreadable(reply) from None
    blobs = [blob for blob in listed if blob is not None]
    return ListedPage(blobs, cursor if more is True and isinstance(cursor, str) else None)


def verdict(status: int, body: bytes) -> StorageUnavailable | None:
    """What an answer means; None if it is a good one. ``statusCode`` in an error's body goes before the
    status; ``NoSuchBucket`` and a missing blob are both a 404."""
    if 200 <= status < 300:
        return None
    told, code = _told(body)
    status = told or status
    detail = f"supabase: {status} {code}".rstrip()
    if status == 409:
        return BlobExists(detail=detail)
    if status == 404 and "bucket" in code.lower():
        return StorageUnavailable(_NO_BUCKET, detail=detail)
    if status == 404:
        return BlobNotFound(detail=detail)
    if status in (401, 403):
        return StorageUnavailable(_FORBIDDEN, detail=detail)
    return StorageUnavailable(detail=detail)


def unanswered(error: ProviderError) -> StorageUnavailable:
    """The exchange itself failed."""
    return StorageUnavailable(detail=f"supabase: {error.detail}")


# --- parts --------------------------------------------------------------------------------------------


class _Body(httpx.AsyncByteStream):
    """Sent once, and never again: nobody has these bytes twice."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks


def _refuse(reply: Reply) -> None:
    failure = verdict(reply.status, reply.body)
    if failure is not None:
        raise failure


def _object(reply: Reply) -> JsonObject:
    try:
        return reply.json_object()
    except ProviderError as error:
        failure = unanswered(error)
    raise failure


def _told(body: bytes) -> tuple[int | None, str]:
    """The status and the code in an error's body, as far as it is one: ``code`` is a word of a list that
    the server documents, and safe to log."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return None, ""
    if not isinstance(told, dict):
        return None, ""
    status, code = str(told.get("statusCode", "")), str(told.get("code", ""))
    known = status.isascii() and status.isdigit() and len(status) == 3
    return (int(status) if known else None), (code if code.isalnum() and len(code) < 64 else "")


def _listed(bucket: SupabaseBucket, entry: JsonValue) -> BlobInfo | None:
    """None for an entry without metadata: older servers make the row before the bytes are there."""
    if not isinstance(entry, Mapping):
        raise TypeError
    name, metadata, changed = entry["name"], entry["metadata"], entry["updated_at"]
    if metadata is None:
        return None
    if not (isinstance(name, str) and isinstance(metadata, Mapping) and isinstance(changed, str)):
        raise TypeError
    size = metadata["size"]
    if not isinstance(size, int):
        raise TypeError
    moment = datetime.fromisoformat(changed)
    at = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return BlobInfo(name.removeprefix(bucket.prefix), size, at)


def _unreadable(reply: Reply) -> StorageUnavailable:
    return StorageUnavailable(detail=f"supabase: a {reply.status} that can't be read")
