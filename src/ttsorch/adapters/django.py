"""The v1 contract as URL patterns of Django, under WSGI and ASGI.

::

    from functools import partial

    from ttsorch.adapters.django import contract_urls
    from ttsorch.contract import ContractHandler
    from ttsorch.sync import SyncOrchestrator

    tts = SyncOrchestrator(lambda: open_orchestrator(config))        # tts.start() in each worker
    make_handler = partial(ContractHandler, signing_key=key)
    urlpatterns = [*contract_urls(tts, make_handler, authenticate), ...]

    def authenticate(request: HttpRequest):
        return str(request.user.pk) if request.user.is_authenticated else None

It answers ``/api`` and all below it, whatever the method; below another path with ``path("tts/",
include(contract_urls(...)))``. ``authenticate`` and the reading of the body happen in the thread of the
request, where Django's database connections are. The view is exempt from CSRF checks, from
``ATOMIC_REQUESTS`` and from ``LoginRequiredMiddleware``, whose answers aren't the contract's: what
``authenticate`` accepts is for the host to decide.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TypeAlias
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, re_path
from django.views.decorators.csrf import csrf_exempt

from ttsorch.adapters._sync_bridge import Chunks, MakeHandler, SyncBridge, SyncResponse
from ttsorch.adapters._sync_exchange import SyncRequest
from ttsorch.adapters._wsgi import headers_of
from ttsorch.contract import ClientGone
from ttsorch.contract.exchange import BodyTaken
from ttsorch.sync import SyncOrchestrator

logger = logging.getLogger("ttsorch.contract")

#: From a request to the id of who is asking; None if that is nobody known.
Authenticate: TypeAlias = Callable[[HttpRequest], str | None]

#: ``/api`` and all below it, line breaks included.
_EVERYTHING = r"^api(?P<rest>(?:/[\s\S]*)?)\Z"


def contract_urls(
    tts: SyncOrchestrator, make_handler: MakeHandler, authenticate: Authenticate
) -> list[URLPattern]:
    """Everything below ``/api``, for ``urlpatterns`` or ``include``."""
    bridge = SyncBridge(tts, make_handler)

    @csrf_exempt
    @login_not_required
    @transaction.non_atomic_requests
    def contract(request: HttpRequest, rest: str) -> HttpResponseBase:
        try:
            response = bridge.handle(_translated(request, authenticate, f"/api{rest}"))
        except ClientGone:
            return HttpResponse(status=400)  # nobody is there to read it
        return _answer(response, is_async=_is_asgi(request))

    return [re_path(_EVERYTHING, contract, name="ttsorch")]


def _translated(request: HttpRequest, authenticate: Authenticate, path: str) -> SyncRequest:
    return SyncRequest(
        method=request.META["REQUEST_METHOD"],
        path=path,
        query=request.META.get("QUERY_STRING", ""),
        headers=headers_of(request.META),
        read=_reader(request),
        authenticate=partial(authenticate, request),
        root=quote(request.path.removesuffix(path)),
        scheme=request.scheme or "http",
        peer=request.META.get("REMOTE_ADDR") or None,
    )


def _is_asgi(request: HttpRequest) -> bool:
    return hasattr(request, "scope")


def _reader(request: HttpRequest) -> Callable[[int], bytes]:
    """Django itself reads no more under WSGI than Content-Length says: of a chunked body, nothing."""
    meta = request.META
    if meta.get("wsgi.input_terminated") and not meta.get("CONTENT_LENGTH"):
        stream = meta["wsgi.input"]
        return lambda size: bytes(stream.read(size))
    return _Body(request).read


class _Body:
    """The body of a request, if the host hasn't made a form of it (``request.POST``). One that it has kept
    (``request.body``) is read again."""

    def __init__(self, incoming: HttpRequest) -> None:
        self._incoming = incoming
        self._is_ours = False

    def read(self, size: int) -> bytes:
        kept = hasattr(self._incoming, "_body")
        if not self._is_ours and getattr(self._incoming, "_read_started", False) and not kept:
            raise BodyTaken
        self._is_ours = True
        return self._incoming.read(size)


def _answer(response: SyncResponse, *, is_async: bool) -> HttpResponseBase:
    body, headers = response.body, dict(response.headers)
    if isinstance(body, bytes):
        answer: HttpResponseBase = HttpResponse(body, status=response.status, headers=headers)
    else:
        streamed = _AsyncChunks(body) if is_async else body
        answer = StreamingHttpResponse(streamed, status=response.status, headers=headers)
    if "content-type" not in headers:
        del answer["content-type"]  # Django has one for everything
    return answer


class _AsyncChunks:
    """The same body under ASGI, where Django would read all of a plain iterator first."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks

    def __aiter__(self) -> "_AsyncChunks":
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await sync_to_async(self._next, thread_sensitive=False)()
        except Exception as error:
            if not isinstance(error, ClientGone):
                logger.exception("a response was broken off")
            # Django takes this for a client that left, and breaks off too. Of any other exception it
            # would leave the request's temporary file open.
            raise asyncio.CancelledError from None
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def _next(self) -> bytes | None:
        return next(self._chunks, None)

    def close(self) -> None:
        self._chunks.close()
