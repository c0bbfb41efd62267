"""The v1 contract as a blueprint of Flask.

::

    from functools import partial

    from ttsorch.adapters.flask import contract_blueprint
    from ttsorch.contract import ContractHandler
    from ttsorch.sync import SyncOrchestrator

    tts = SyncOrchestrator(lambda: open_orchestrator(config))        # tts.start() in each worker
    make_handler = partial(ContractHandler, signing_key=key)
    app.register_blueprint(contract_blueprint(tts, make_handler, authenticate))

    def authenticate(request: Request):
        return session.get("user_id")

It answers ``/api`` and all below it, whatever the method; below another path with ``url_prefix="/tts"``.
``authenticate`` and the reading of the body happen in the thread of the request, inside its context.
"""

import sys
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import IO, TypeAlias
from urllib.parse import quote

from flask import Blueprint, Request, Response, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import ClientDisconnected
from werkzeug.routing import BaseConverter, Rule

from ttsorch.adapters._sync_bridge import MakeHandler, SyncBridge
from ttsorch.adapters._sync_exchange import SyncRequest
from ttsorch.adapters._wsgi import headers_of
from ttsorch.contract import ClientGone
from ttsorch.contract.exchange import BodyTaken
from ttsorch.sync import SyncOrchestrator

#: From a request to the id of who is asking; None if that is nobody known.
Authenticate: TypeAlias = Callable[[Request], str | None]


class _Everything(BaseConverter):
    """The rest of a path, slashes and line breaks included."""

    regex = r"(?:/[\s\S]*)?"
    part_isolating = False


class _Answer(Response):
    """Has the contract's headers and no others."""

    default_mimetype = None
    autocorrect_location_header = False


def contract_blueprint(
    tts: SyncOrchestrator,
    make_handler: MakeHandler,
    authenticate: Authenticate,
    *,
    name: str = "ttsorch",
) -> Blueprint:
    """Everything below ``/api``, for ``register_blueprint``."""
    bridge = SyncBridge(tts, make_handler)
    blueprint = Blueprint(name, __name__)

    def contract(rest: str) -> Response:
        return _answer(bridge, authenticate, f"/api{rest}")

    def add_rule(state: BlueprintSetupState) -> None:
        # Flask's own way would need the names of all the methods that there are.
        state.app.url_map.converters["ttsorch_everything"] = _Everything
        path = f"{(state.url_prefix or '').rstrip('/')}/api<ttsorch_everything:rest>"
        endpoint = f"{state.name_prefix}.{state.name}.contract".lstrip(".")
        state.app.url_map.add(Rule(path, endpoint=endpoint, subdomain=state.subdomain))
        state.app.view_functions[endpoint] = contract

    blueprint.record(add_rule)
    return blueprint


def _answer(bridge: SyncBridge, authenticate: Authenticate, path: str) -> Response:
    try:
        response = bridge.handle(_translated(authenticate, path))
    except ClientGone:
        return _Answer(status=400)  # nobody is there to read it
    # In a list, since of plain bytes Flask would tell the length: to a HEAD, that of nothing.
    body = [response.body] if isinstance(response.body, bytes) else response.body
    return _Answer(body, response.status, response.headers)


def _translated(authenticate: Authenticate, path: str) -> SyncRequest:
    incoming, environ = request, request.environ
    return SyncRequest(
        method=environ["REQUEST_METHOD"],
        path=path,
        query=environ.get("QUERY_STRING", ""),
        headers=headers_of(environ),
        read=_Body(incoming).read,
        authenticate=partial(authenticate, incoming),
        root=quote(incoming.root_path + incoming.path.removesuffix(path)),
        scheme=incoming.scheme,
        peer=incoming.remote_addr or None,
    )


class _Body:
    """The body of a request, or what is left of it when the host has looked at it before us."""

    def __init__(self, incoming: Request) -> None:
        self._incoming = incoming
        self._source: IO[bytes] | None = None

    def read(self, size: int) -> bytes:
        try:
            if self._source is None:
                return self._begin(size)
            return self._source.read(size)
        except ClientDisconnected:
            raise ClientGone from None

    def _begin(self, size: int) -> bytes:
        # The contract has a cap of its own, and a sentence for who goes over it.
        self._incoming.max_content_length = sys.maxsize
        self._source = self._incoming.stream
        first = self._source.read(size)
        if not first:
            self._source = BytesIO(self._incoming.get_data())
            first = self._source.read(size)
        # Nothing, though there is a length: the host has made a form of it.
        if not first and self._incoming.content_length and "form" in vars(self._incoming):
            raise BodyTaken
        return first
