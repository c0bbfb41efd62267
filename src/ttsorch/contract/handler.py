"""The v1 contract as a table, and the way of a request through it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ttsorch.contract import (
    about,
    cloning,
    design,
    generate,
    generations,
    media,
    tasks,
    uploads,
    voices,
)
from ttsorch.contract.cors import ANY_ORIGIN, Cors
from ttsorch.contract.exchange import ClientGone, HttpRequest, HttpResponse
from ttsorch.contract.failures import Unauthenticated, UnexpectedFailure, failure_response
from ttsorch.contract.origin import Origins
from ttsorch.contract.query import parse_query
from ttsorch.contract.request_ids import request_id as id_of
from ttsorch.contract.routing import NOBODY, Call, Resource, Route, Router
from ttsorch.contract.signing import LinkSigner
from ttsorch.errors import TtsorchError
from ttsorch.orchestrator import Orchestrator

logger = logging.getLogger("ttsorch.contract")

#: The contract's rows. What can be got can also be asked for with HEAD.
ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/health", about.health, public=True, any_mode=True),
    Route("GET", "/api/languages", about.languages, public=True),
    Route("POST", "/api/generate", generate.generate),
    Route("GET", "/api/tasks", tasks.listing),
    Route("GET", "/api/tasks/{id}", tasks.show),
    Route("POST", "/api/tasks/{id}/cancel", tasks.cancel),
    Route("DELETE", "/api/tasks/{id}", tasks.delete),
    Route("GET", "/api/generations", generations.listing),
    Route("GET", "/api/generations/{id}/audio", generations.audio),
    Route("DELETE", "/api/generations/{id}", generations.delete),
    Route("POST", "/api/generations/{id}/regenerate", generations.regenerate),
    Route("GET", "/api/voices", voices.listing),
    # Before the paths with an id: the first that fits is the one.
    Route("POST", "/api/voices/design/preview", design.preview),
    Route("POST", "/api/voices/design", design.save),
    Route("GET", "/api/voices/{id}/preview", voices.preview),
    Route("DELETE", "/api/voices/{id}", voices.delete),
    Route("POST", "/api/clone/upload-url", cloning.upload_url),
    Route("POST", "/api/clone/finalize", cloning.finalize),
    # Whoever holds a signed link was let in before.
    Route("GET", "/api/media/{key:path}", media.serve, public=True, any_mode=True, cors=ANY_ORIGIN),
    Route(
        "PUT",
        "/api/uploads/{key:path}",
        uploads.receive,
        public=True,
        any_mode=True,
        cors=ANY_ORIGIN,
    ),
)

_ROUTER = Router(ROUTES)


def asks_who(method: str, path: str) -> bool:
    """Whether the handler is going to call a request's ``authenticate``. For an adapter that can do so in
    passing, where it is cheaper; nothing is decided by it."""
    try:
        return not _ROUTER.find(path)[0].route(method).public
    except TtsorchError:
        return False


class ContractHandler:
    """Answers the v1 contract over an orchestrator, for any adapter.

    Args:
        orchestrator: the one to use, or a function that returns it, for a host that opens it later.
        mode: which provider takes the new tasks, asked with every request, for a host that may switch it
            without a restart (:meth:`~ttsorch.orchestrator.Orchestrator.using`). A mode that there isn't is
            the row's 500; it may also raise :class:`~ttsorch.errors.ConfigurationError` itself. Health and
            signed links don't depend on it.
        signing_key: at least 16 secret bytes, the same on every machine that serves this contract.
        cors: which pages may call the API; signed links may be used by any.
        own_links: let links to audio always lead to this contract's media route, also where the blob store
            can sign its own. For a page that may load from no other host, or a store that browsers can't
            reach; and downloads then have a readable name. Costs this process the transfer.
        trusted_proxies: whose ``X-Forwarded-Host`` and ``-Proto`` count, as :class:`Origins` takes them.

    Raises:
        ConfigurationError: the signing key is too short, or a proxy is no address.
    """

    def __init__(
        self,
        orchestrator: Orchestrator | Callable[[], Orchestrator],
        *,
        signing_key: bytes,
        mode: Callable[[], str] | None = None,
        cors: Cors | None = None,
        own_links: bool = False,
        trusted_proxies: Sequence[str] = (),
    ) -> None:
        self._orchestrator = orchestrator if callable(orchestrator) else lambda: orchestrator
        self._mode = mode
        self._signer = LinkSigner(signing_key)
        self._cors = cors or Cors()
        self._own_links = own_links
        self._origins = Origins(trusted_proxies)

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """The answer, whatever happens.

        Raises:
            ClientGone: the client left before it had said what it wants.
        """
        request_id = id_of(request.headers.get("x-request-id"))
        origin = request.headers.get("origin")
        cors = self._cors
        try:
            resource, params = _ROUTER.find(request.path)
            cors = resource.cors or cors
            if request.method == "OPTIONS":
                response = _options(resource, cors, origin)
            else:
                route = resource.route(request.method)
                response = await route.endpoint(await self._call(request, route, params))
        except ClientGone:
            raise
        except TtsorchError as error:
            response = _failed(request, error, request_id)
        except Exception:
            logger.exception("request %s: %s %r", request_id, request.method, request.path[:200])
            response = failure_response(UnexpectedFailure(), request_id)
        if request.method == "HEAD":
            # The headers stay as they are: the length is the one that the body would have.
            response = replace(response, body=b"")
        return response.with_headers({"x-request-id": request_id, **cors.headers(origin)})

    async def _call(self, request: HttpRequest, route: Route, params: Mapping[str, str]) -> Call:
        """The order of contract C4: who is asking, then which provider, then everything else."""
        owner = NOBODY if route.public else await _owner(request)
        return Call(
            orchestrator=self._chosen(route),
            signer=self._signer,
            request=request,
            owner=owner,
            params=params,
            query=parse_query(request.query),
            origin=self._origins.of(request),
            own_links=self._own_links,
        )

    def _chosen(self, route: Route) -> Orchestrator:
        orchestrator = self._orchestrator()
        if self._mode is None or route.any_mode:
            return orchestrator
        return orchestrator.using(self._mode())


async def _owner(request: HttpRequest) -> str:
    """Who is asking. A host may know by other means than the header, so it is always asked."""
    owner = await request.authenticate()
    if owner:
        return owner
    if not request.headers.get("authorization", "").strip():
        raise Unauthenticated("Missing authorization header", code="authorization_missing")
    raise Unauthenticated("Invalid or expired token", code="token_invalid")


def _options(resource: Resource, cors: Cors, origin: str | None) -> HttpResponse:
    allow = {"allow": ", ".join(resource.methods)}
    return HttpResponse(204, {**allow, **cors.preflight_headers(origin, resource.methods)})


def _failed(request: HttpRequest, error: TtsorchError, request_id: str) -> HttpResponse:
    if error.http_status >= 500:
        logger.warning(
            "request %s: %s %r: %s (%s)",
            request_id,
            request.method,
            request.path[:200],
            error.code,
            error.detail,
        )
    return failure_response(error, request_id)
