"""Result audio behind signed URLs, the way Alibaba's object storage (OSS) serves it.

A URL carries ``Expires`` (unix seconds) and ``Signature``, and is asked for without credentials of any other
kind. Errors are XML (https://www.alibabacloud.com/help/en/oss/user-guide/0002-00000069).
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlencode
from uuid import uuid4

from ttsorch.testing._dashscope.wire import DashScopeLedger, Switches, new_request_id
from ttsorch.testing.vendor_server import VendorReply, VendorRequest

PATH = "/results/"

#: Seconds that a result URL works, as DashScope documents it.
LIFETIME = 24 * 60 * 60

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class SignedResult:
    """One result as the vendor announces it. ``expires_at`` is unix seconds."""

    id: str
    url: str = field(repr=False)
    expires_at: int


class ResultStore:
    """The finished audio of one fake."""

    def __init__(
        self, ledger: DashScopeLedger, switches: Switches, clock: Callable[[], datetime]
    ) -> None:
        #: ``host:port`` that it is served from.
        self.host = ""
        self._ledger = ledger
        self._switches = switches
        self._clock = clock
        self._secret = secrets.token_bytes(16)
        self._audio: dict[str, bytes] = {}
        self._etags_given = 0

    def keep(self, audio: bytes) -> SignedResult:
        """Store ``audio`` and sign a URL for it."""
        result_id = f"audio_{uuid4()}"
        path = f"{PATH}{result_id}.wav"
        self._audio[path] = audio
        expires_at = self._expiry()
        query = urlencode({"Expires": expires_at, "Signature": self._sign(path, str(expires_at))})
        return SignedResult(result_id, f"{self._origin()}{path}?{query}", expires_at)

    def _expiry(self) -> int:
        now = int(self._clock().timestamp())
        if self._switches.expired > 0:
            self._switches.expired -= 1
            return now - 1
        return now + LIFETIME

    def _origin(self) -> str:
        scheme = "http" if self._switches.http_scheme else "https"
        return f"{scheme}://{self._switches.results_host or self.host}"

    def _sign(self, path: str, expires: str) -> str:
        return hmac.new(self._secret, f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()

    def answer(self, request: VendorRequest) -> VendorReply:
        """Serve one download, or say why not."""
        if refusal := self._refusal(request):
            return refusal
        audio = self._audio[request.path]
        etag = self._etag(audio)
        if (wanted := request.headers.get("if-match")) and wanted not in (etag, "*"):
            return _problem(412, "PreconditionFailed", "The resource is not the one you asked for.")
        self._ledger.results[_id_of(request)] += 1
        if self._switches.result_truncate:
            audio = audio[: self._switches.result_truncate.popleft()]
        # RFC 9110, section 13.1.5: no range of another representation than the asker has; all of this one.
        same = request.headers.get("if-range", etag) == etag
        return _part_of(audio, request.headers.get("range", "") if same else "", etag)

    def _refusal(self, request: VendorRequest) -> VendorReply | None:
        if request.method != "GET":
            return _problem(405, "MethodNotAllowed", "The method is not allowed for this object.")
        if "authorization" in request.headers:
            self._ledger.authorized_downloads.append(_id_of(request))
            return _problem(
                400, "InvalidArgument", "Only one way to authorize a request is allowed."
            )
        expires = request.query.get("Expires", "")
        given = request.query.get("Signature", "")
        if not hmac.compare_digest(self._sign(request.path, expires).encode(), given.encode()):
            return _problem(403, "SignatureDoesNotMatch", "The signature does not match.")
        if self._clock().timestamp() > int(expires):
            return _problem(403, "AccessDenied", "Request has expired.")
        if self._switches.result_status_once:
            status = self._switches.result_status_once.popleft()
            return _problem(status, HTTPStatus(status).phrase.replace(" ", ""), "Please try again.")
        return None

    def _etag(self, audio: bytes) -> str:
        if self._switches.etag_changes:
            self._etags_given += 1
            audio += str(self._etags_given).encode()
        return f'"{hashlib.sha256(audio).hexdigest()[:32].upper()}"'


def _id_of(request: VendorRequest) -> str:
    return request.path.removeprefix(PATH).removesuffix(".wav")


def _part_of(audio: bytes, wanted: str, etag: str) -> VendorReply:
    """One range (RFC 9110, section 14), or everything when ``wanted`` isn't one that can be read."""
    headers = {"etag": etag, "accept-ranges": "bytes", "x-request-id": new_request_id()}
    match = _RANGE.fullmatch(wanted)
    if match is None or match[0] == "bytes=-":
        return VendorReply(200, audio, "audio/wav", headers)
    size = len(audio)
    first = int(match[1]) if match[1] else max(0, size - int(match[2]))
    last = min(int(match[2]), size - 1) if match[1] and match[2] else size - 1
    if first > last:
        return _problem(416, "InvalidRange", "The requested range cannot be satisfied.")
    headers["content-range"] = f"bytes {first}-{last}/{size}"
    return VendorReply(206, audio[first : last + 1], "audio/wav", headers)


def _problem(status: int, code: str, message: str) -> VendorReply:
    request_id = new_request_id()
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n'
        f"  <Code>{code}</Code>\n  <Message>{message}</Message>\n"
        f"  <RequestId>{request_id}</RequestId>\n</Error>\n"
    )
    return VendorReply(status, body.encode(), "application/xml", {"x-request-id": request_id})
