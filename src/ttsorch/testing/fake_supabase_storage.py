"""A stand-in for Supabase Storage on a real socket: one project, one private bucket, the routes that
:class:`~ttsorch.storage.supabase.SupabaseBlobStore` uses.

Paths, statuses, bodies and error codes as the storage server's source has them: most errors are a 400 whose
body has the true status in ``statusCode``. Where the wire breaks, ``server.faults`` says; what the server
refuses by itself, ``refusals``.
"""

import base64
import hashlib
import hmac
import json
import re
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from ttsorch.models import JsonValue
from ttsorch.testing.vendor_server import VendorReply, VendorRequest, VendorServer, serving

__all__ = ["FakeSupabaseStorage", "Refusal", "StoredObject", "fake_supabase_storage"]

_BASE = "/storage/v1/object"
_ROUTE = re.compile(
    r"/(?P<route>authenticated/|info/|sign/|list-v2/|)(?P<bucket>[^/]+)(/(?P<name>.+))?"
)
_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What the bucket holds under one name."""

    data: bytes = field(repr=False)
    content_type: str
    metadata: Mapping[str, JsonValue]
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """Answer one request with this status, whatever it asks for. ``late``: after having done it, as a
    gateway does that loses patience with the server behind it."""

    status: int = 503
    late: bool = False
    method: str | None = None


class _Refused(Exception):
    def __init__(self, status: int, error: str, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body: JsonValue = {
            "statusCode": str(status),
            "error": error,
            "code": code,
            "message": message,
        }


class FakeSupabaseStorage:
    """One running fake. ``objects`` are the bucket's by name; entries may be put in or taken out."""

    def __init__(
        self, key: str, bucket: str, *, clock: Callable[[], datetime], true_statuses: bool
    ) -> None:
        self.key = key
        self.bucket = bucket
        self.objects: dict[str, StoredObject] = {}
        self.refusals: deque[Refusal] = deque()
        self._clock = clock
        self._true_statuses = true_statuses
        self._server: VendorServer | None = None

    @property
    def server(self) -> VendorServer:
        """The socket's side: ``faults``, ``requests``, ``connections``."""
        assert self._server is not None
        return self._server

    def url(self, prefix: str = "") -> str:
        """The blob store's URL."""
        return f"supabase://127.0.0.1:{self.server.port}/{self.bucket}/{prefix}"

    def at(self, server: VendorServer) -> None:
        """Take the address that it is served at."""
        self._server = server

    async def answer(self, request: VendorRequest) -> VendorReply:
        """What the server says to one request."""
        refusal = self._next_refusal(request)
        if refusal is not None and not refusal.late:
            return VendorReply.of_text("upstream unavailable", refusal.status)
        try:
            reply = self._act(request)
        except _Refused as refused:
            status = refused.status if self._true_statuses else 400
            reply = VendorReply.of_json(refused.body, status)
        if refusal is not None:
            return VendorReply.of_text("upstream timed out", refusal.status)
        return reply

    def _next_refusal(self, request: VendorRequest) -> Refusal | None:
        if self.refusals and self.refusals[0].method in (None, request.method):
            return self.refusals.popleft()
        return None

    def _act(self, request: VendorRequest) -> VendorReply:
        found = _ROUTE.fullmatch(request.path.removeprefix(_BASE))
        if not request.path.startswith(_BASE) or found is None:
            raise _Refused(404, "Not Found", "NotFound", "Route not found")
        route, name = found["route"].rstrip("/"), found["name"] or ""
        if (request.method, route) == ("GET", "sign"):
            return self._signed(name, request)
        self._authorize(request)
        if found["bucket"] != self.bucket:
            raise _Refused(404, "Bucket not found", "NoSuchBucket", "Bucket not found")
        actions: dict[tuple[str, str], Callable[[str, VendorRequest], VendorReply]] = {
            ("POST", ""): self._upload,
            ("DELETE", ""): self._delete,
            ("GET", "authenticated"): self._download,
            ("GET", "info"): self._info,
            ("POST", "sign"): self._sign,
            ("POST", "list-v2"): self._list,
        }
        action = actions.get((request.method, route))
        if action is None:
            raise _Refused(404, "Not Found", "NotFound", "Route not found")
        return action(name, request)

    def _authorize(self, request: VendorRequest) -> None:
        sent = request.headers.get("apikey"), request.headers.get("authorization")
        if sent != (self.key, f"Bearer {self.key}"):
            raise _Refused(403, "Unauthorized", "AccessDenied", "jwt malformed")

    def _at(self, name: str) -> StoredObject:
        if name not in self.objects:
            raise _Refused(404, "not_found", "NoSuchKey", "Object not found")
        return self.objects[name]

    def _upload(self, name: str, request: VendorRequest) -> VendorReply:
        if name in self.objects and request.headers.get("x-upsert") != "true":
            raise _Refused(409, "Duplicate", "KeyAlreadyExists", "The resource already exists")
        encoded = request.headers.get("x-metadata", base64.b64encode(b"{}").decode())
        self.objects[name] = StoredObject(
            request.body,
            request.headers.get("content-type", "application/octet-stream"),
            json.loads(base64.b64decode(encoded)),
            self._clock(),
        )
        return VendorReply.of_json({"Key": f"{self.bucket}/{name}", "Id": str(uuid.uuid4())})

    def _delete(self, name: str, _: VendorRequest) -> VendorReply:
        self._at(name)
        del self.objects[name]
        return VendorReply.of_json({"message": "Successfully deleted"})

    def _info(self, name: str, _: VendorRequest) -> VendorReply:
        stored = self._at(name)
        return VendorReply.of_json(
            {
                "id": str(uuid.uuid4()),
                "name": name,
                "bucket_id": self.bucket,
                "size": len(stored.data),
                "content_type": stored.content_type,
                "metadata": dict(stored.metadata),
                "last_modified": _stamp(stored.updated_at),
            }
        )

    def _download(self, name: str, request: VendorRequest) -> VendorReply:
        stored = self._at(name)
        wanted = _RANGE.fullmatch(request.headers.get("range", ""))
        if wanted is None:
            return VendorReply(200, stored.data, stored.content_type)
        start, size = int(wanted[1]), len(stored.data)
        stop = min(size, int(wanted[2]) + 1) if wanted[2] else size
        if start >= stop:
            raise _Refused(416, "InvalidRange", "S3Error", "InvalidRange")
        headers = {"content-range": f"bytes {start}-{stop - 1}/{size}", "accept-ranges": "bytes"}
        return VendorReply(206, stored.data[start:stop], stored.content_type, headers)

    def _sign(self, name: str, request: VendorRequest) -> VendorReply:
        self._at(name)
        wanted = request.json()
        seconds = wanted.get("expiresIn") if isinstance(wanted, dict) else None
        if not isinstance(seconds, int) or seconds < 1:
            raise _Refused(400, "Error", "InvalidRequest", "body/expiresIn must be integer")
        token = self._token(name, int(self._clock().timestamp()) + seconds)
        path = f"/object/sign/{self.bucket}/{quote(name)}?token={token}"
        return VendorReply.of_json({"signedURL": path})

    def _signed(self, name: str, request: VendorRequest) -> VendorReply:
        token = request.query.get("token", "")
        expires = token.partition(".")[0]
        if not expires.isdigit() or not hmac.compare_digest(token, self._token(name, int(expires))):
            raise _Refused(400, "InvalidJWT", "InvalidJWT", "signature verification failed")
        if int(expires) <= self._clock().timestamp():
            raise _Refused(400, "InvalidJWT", "InvalidJWT", '"exp" claim timestamp check failed')
        return self._download(name, request)

    def _token(self, name: str, expires: int) -> str:
        message = f"{self.bucket}/{name}\n{expires}".encode()
        return f"{expires}.{hmac.digest(self.key.encode(), message, hashlib.sha256).hex()}"

    def _list(self, _: str, request: VendorRequest) -> VendorReply:
        wanted = request.json()
        assert isinstance(wanted, dict)
        prefix, cursor = wanted.get("prefix") or "", wanted.get("cursor") or ""
        after = base64.b64decode(cursor).decode()
        names = sorted(name for name in self.objects if name.startswith(prefix) and name > after)
        page = names[: min(int(wanted.get("limit") or 1000), 1000)]
        listing: dict[str, JsonValue] = {
            "hasNext": len(page) < len(names),
            "folders": [],
            "objects": [self._listed(name) for name in page],
        }
        if len(page) < len(names):
            listing["nextCursor"] = base64.b64encode(page[-1].encode()).decode()
        return VendorReply.of_json(listing)

    def _listed(self, name: str) -> JsonValue:
        stored = self.objects[name]
        return {
            "id": str(uuid.uuid4()),
            "name": name,
            "updated_at": _stamp(stored.updated_at),
            "created_at": _stamp(stored.updated_at),
            "metadata": {"size": len(stored.data), "mimetype": stored.content_type},
        }


@asynccontextmanager
async def fake_supabase_storage(
    *,
    key: str = "sb_secret_of_the_fake_project",
    bucket: str = "audio",
    clock: Callable[[], datetime] = _now,
    true_statuses: bool = False,
) -> AsyncIterator[FakeSupabaseStorage]:
    """Serve one on a loopback port. ``true_statuses``: errors have their own status, and not 400."""
    fake = FakeSupabaseStorage(key, bucket, clock=clock, true_statuses=true_statuses)
    async with serving(fake.answer) as server:
        fake.at(server)
        yield fake


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
