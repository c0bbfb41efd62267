"""From a stored blob to a link that anybody can open for an hour (R8, R12, R16, R17)."""

from ttsorch._keys import owner_prefix
from ttsorch.contract.exchange import HttpResponse
from ttsorch.contract.routing import Call
from ttsorch.contract.signing import LINK_LIFETIME
from ttsorch.errors import BlobNotFound, ValidationError


def check_key(call: Call, key: str) -> None:
    """Refuse what is not under the caller's prefix: rows may come from elsewhere (an import, a migration),
    and a signed link opens whatever it names.

    Raises:
        ValidationError: 403 ``Invalid storage object key.``
    """
    if not key.startswith(f"{owner_prefix(call.owner)}/"):
        raise ValidationError(
            "Invalid storage object key.", code="invalid_blob_key", http_status=403
        )


async def is_stored(call: Call, key: str) -> bool:
    """A player can't show what a link to nothing answers, but a page can show what this finds."""
    try:
        async with call.orchestrator.blobs.open(key):
            return True
    except BlobNotFound:
        return False


async def media_link(call: Call, key: str, *, name: str | None = None) -> str:
    """A signed URL, by the blob store itself if it can and may, else to our media route: without a host, so
    that it is right behind every proxy. With ``name`` ours is a download."""
    if not call.own_links and (
        url := await call.orchestrator.blobs.url(key, expires_in=LINK_LIFETIME)
    ):
        return url
    return call.request.root + call.signer.path(key, now=call.orchestrator.now(), name=name)


async def absolute_link(call: Call, key: str) -> str:
    """:func:`media_link` for a JSON body: a page of another origin can use it as it is."""
    link = await media_link(call, key)
    return call.origin + link if link.startswith("/") else link


def redirect(link: str) -> HttpResponse:
    """302. Nobody may keep it: the link is a permission, and ends."""
    return HttpResponse(
        302, {"location": link, "content-length": "0", "cache-control": "private, no-store"}
    )
