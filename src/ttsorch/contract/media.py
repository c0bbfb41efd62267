"""Stored audio for who holds a signed link (contract, section 5). Nobody is asked who they are."""

import hashlib
from collections.abc import AsyncGenerator

from ttsorch._audio import content_type_of
from ttsorch.contract.exchange import HttpResponse
from ttsorch.contract.filenames import content_disposition
from ttsorch.contract.ranges import ByteRange, UnsatisfiableRange, requested_range
from ttsorch.contract.routing import Call
from ttsorch.protocols import BlobStore

#: A blob is made by somebody else's engine. Whatever it holds, no browser may take it for a page: the
#: type is ours, it isn't sniffed, and nothing in it may run.
_CONTAINMENT = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'",
    "cross-origin-resource-policy": "cross-origin",
}


async def serve(call: Call) -> HttpResponse:
    """The blob, or the one range of it that was asked for."""
    key = call.params["key"]
    call.signer.check(key, call.query, now=call.orchestrator.now())
    async with call.orchestrator.blobs.open(key) as blob:
        size = blob.size
    headers = {**_CONTAINMENT, **_description(key, call.query.get("name"))}
    if _is_known(headers["etag"], call.request.headers.get("if-none-match", "")):
        return HttpResponse(304, headers)
    try:
        part = _wanted_part(call, headers["etag"], size)
    except UnsatisfiableRange:
        return HttpResponse(
            416, {**headers, "content-range": f"bytes */{size}", "content-length": "0"}
        )
    return _answer(call, key, headers, size, part)


def _answer(
    call: Call, key: str, headers: dict[str, str], size: int, part: ByteRange | None
) -> HttpResponse:
    status = 200 if part is None else 206
    sent = part or ByteRange(0, size)
    headers["content-length"] = str(sent.length)
    if part is not None:
        headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    return HttpResponse(status, headers, _read(call.orchestrator.blobs, key, sent))


def _is_known(etag: str, if_none_match: str) -> bool:
    """Whether the client has it already; compared weakly (RFC 9110, 13.1.2)."""
    known = (each.strip().removeprefix("W/") for each in if_none_match.split(","))
    return any(each in (etag, "*") for each in known)


def _wanted_part(call: Call, etag: str, size: int) -> ByteRange | None:
    """A range is for who has the rest of this very blob (If-Range), and for GET alone."""
    headers = call.request.headers
    if call.request.method != "GET" or headers.get("if-range", etag) != etag:
        return None
    return requested_range(headers.get("range"), size)


def _description(key: str, name: str | None) -> dict[str, str]:
    extension = key.rpartition(".")[2]
    return {
        "content-type": content_type_of(key),
        "content-disposition": content_disposition(
            name or f"speech.{extension}", download=name is not None
        ),
        # A key is never used for other bytes, so it names them.
        "etag": f'"{hashlib.sha256(key.encode()).hexdigest()[:32]}"',
        "accept-ranges": "bytes",
        "cache-control": "private, max-age=3600, immutable",
    }


async def _read(blobs: BlobStore, key: str, part: ByteRange) -> AsyncGenerator[bytes, None]:
    # Opened only when somebody reads: an answer that is never sent holds nothing open.
    async with blobs.open(key, start=part.start, end=part.end) as blob:
        async for chunk in blob.chunks:
            yield chunk
