"""What one framework has and the others don't: documentation, contexts, caps, transactions."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, cast

import anyio
import flask
import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler
from django.db import DEFAULT_DB_ALIAS
from django.http import HttpRequest
from django.test import Client
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from litestar import Litestar
from litestar.types import Receive, Scope, Send
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.adapters import django_site
from tests.adapters.test_sync_bridge import JOB, Site
from tests.contract.world import a_world
from ttsorch.adapters.aiohttp import add_contract
from ttsorch.adapters.django import contract_urls
from ttsorch.adapters.fastapi import contract_router
from ttsorch.adapters.flask import contract_blueprint
from ttsorch.adapters.litestar import contract_handler
from ttsorch.contract import ContractHandler
from ttsorch.contract.handler import ROUTES
from ttsorch.contract.openapi import standalone
from ttsorch.contract.routing import Route

make_handler = partial(ContractHandler, signing_key=b"0123456789abcdef")


@pytest.fixture
def anyio_backend() -> str:
    """The frameworks here are asyncio's."""
    return "asyncio"


# --- FastAPI ------------------------------------------------------------------------------------------


def ann(request: object) -> str:
    return "ann"


@pytest.mark.anyio
async def test_every_route_is_an_operation_in_the_hosts_openapi() -> None:
    """Below the host's prefix, each with an id of its own; and nothing else of ours."""
    async with a_world() as world:
        app = FastAPI()
        app.include_router(contract_router(world.handler, ann), prefix="/tts")
        paths = app.openapi()["paths"]
        shown = {(method, path) for path in paths for method in paths[path]}
        table = {
            (route.method.lower(), "/tts" + route.path.replace(":path}", "}")) for route in ROUTES
        }
        assert shown == table
        assert list(OpenAPIV31SpecValidator(app.openapi()).iter_errors()) == []
        for route in ROUTES:
            path = "/tts" + route.path.replace(":path}", "}")
            shown_here = paths[path][route.method.lower()]
            # Nothing but the group is the host's, and the framework adds nothing.
            assert shown_here == {**standalone(route), "tags": ["text to speech"]}


async def only_members(x_member: Annotated[str | None, Header()] = None) -> None:
    if x_member is None:
        raise HTTPException(402, "Members only.")


@pytest.mark.anyio
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_the_hosts_dependencies_run_before_the_contract(route: Route) -> None:
    """For every operation, and for HEAD as for GET: a host may rely on them."""
    async with a_world() as world:
        app = FastAPI()
        router = contract_router(world.handler, ann)
        app.include_router(router, dependencies=[Depends(only_members)])
        method, path = route.method, route.path
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for asked in (method, "HEAD") if method == "GET" else (method,):
                assert (await client.request(asked, path)).status_code == 402
                member = await client.request(asked, path, headers={"x-member": "1"})
                assert member.status_code != 402
                assert "x-request-id" in member.headers


async def reads_all(request: Request) -> None:
    await request.body()


async def reads_a_form(request: Request) -> None:
    async with request.form():
        pass


@pytest.mark.anyio
async def test_a_dependency_may_have_read_the_body() -> None:
    """To check a signature, say. What it made a form of can't be read twice: its mistake, not the client's,
    and nobody waits for what will not come."""
    async with a_world() as world:
        told = []
        for dependency in (reads_all, reads_a_form):
            app = FastAPI()
            router = contract_router(world.handler, ann)
            app.include_router(router, dependencies=[Depends(dependency)])
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                with anyio.fail_after(10):
                    job = await client.post("/api/generate", content=JOB)
                    form = await client.post("/api/voices/design", files={"audio": b"x"})
                    empty = await client.get("/api/tasks")
                told.append((job.status_code, form.json()["code"], empty.status_code))
        assert told == [(200, "name_invalid", 200), (200, "body_taken", 200)]


# --- aiohttp ------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_middleware_may_have_read_the_body() -> None:
    """aiohttp keeps what was read at once."""

    @web.middleware
    async def reads(request: web.Request, handler: Handler) -> web.StreamResponse:
        await request.read()
        return await handler(request)

    async with a_world() as world:
        app = web.Application(middlewares=[reads])
        add_contract(app, world.handler, ann)
        async with TestServer(app) as server, httpx.AsyncClient() as client:
            job = await client.post(str(server.make_url("/api/generate")), content=JOB)
        assert job.status_code == 200


# --- Litestar -----------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_server_without_raw_paths_is_good_enough_for_litestar() -> None:
    """raw_path is optional in ASGI; the path that is left then has lost its last slash, no more."""
    async with a_world() as world:
        inner = Litestar([contract_handler(world.handler, ann)], logging_config=None)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope["raw_path"] = b""
            await inner(scope, receive, send)

        transport = httpx.ASGITransport(cast(Any, app))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert (await client.get("/api/health")).json() == {"ok": True}
            assert (await client.get("/api/nothing")).json()["code"] == "unknown_path"


# --- Flask --------------------------------------------------------------------------------------------


@pytest.fixture
def site() -> Iterator[Site]:
    opened = Site("asyncio")
    with opened.tts:
        yield opened


def test_authenticate_runs_inside_flasks_context(site: Site) -> None:
    """Where g, session and request are those of this request."""

    def owner(request: flask.Request) -> str | None:
        assert flask.request == request
        owner: str = flask.g.owner
        return owner

    app = flask.Flask(__name__)
    app.register_blueprint(contract_blueprint(site.tts, make_handler, owner))

    @app.before_request
    def remember() -> None:
        flask.g.owner = flask.request.args["who"]

    client = app.test_client()
    assert client.post("/api/generate?who=ann", data=JOB).status_code == 200
    assert b'"total":1' in client.get("/api/generations?who=ann").data
    assert b'"total":0' in client.get("/api/generations?who=bob").data


def test_flasks_cap_is_not_the_contracts(site: Site) -> None:
    """A host's limit for its forms would be Flask's own page, or a 500."""
    app = flask.Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 10
    app.register_blueprint(contract_blueprint(site.tts, make_handler, ann))
    assert app.test_client().post("/api/generate", data=JOB).status_code == 200


def test_a_body_that_flask_has_kept_is_read_again(site: Site) -> None:
    """A host that logs requests has seen it before us."""
    app = flask.Flask(__name__)
    app.register_blueprint(contract_blueprint(site.tts, make_handler, ann))
    seen = []
    app.before_request(lambda: seen.append(flask.request.get_data()))
    assert app.test_client().post("/api/generate", data=JOB).status_code == 200
    assert seen == [JOB]


def test_a_form_that_flask_has_read_is_the_hosts_mistake(site: Site) -> None:
    """Not the client's: it gets an answer in the contract's shape, and the log says what to look for."""
    app = flask.Flask(__name__)
    app.register_blueprint(contract_blueprint(site.tts, make_handler, ann))
    app.before_request(lambda: flask.request.form.get("token") and None)
    answer = app.test_client().post("/api/voices/design", data={"name": "Vera"})
    assert (answer.status_code, answer.get_json()["code"]) == (500, "body_taken")
    empty = app.test_client().post("/api/generate", content_type="application/json")
    assert (empty.status_code, empty.get_json()["detail"]) == (400, "Invalid JSON body")


def test_a_form_that_django_has_read_is_the_hosts_mistake(site: Site) -> None:
    """The same; what the host has looked at as bytes is read again."""
    django_site.configure()

    def by_form(request: HttpRequest) -> str:
        return str(request.POST.get("owner", "ann"))

    def by_bytes(request: HttpRequest) -> str:
        return "ann" if b"Vera" in request.body else ""

    told = []
    for authenticate in (by_form, by_bytes):
        django_site.serve_urls(contract_urls(site.tts, make_handler, authenticate), "")
        answer = Client().post("/api/voices/design", {"name": "Vera"})
        told.append((answer.status_code, answer.json()["detail"]))
    assert told[0][0] == 500
    assert told[1] == (400, "Preview text is required.")


def test_a_blueprint_can_be_registered_in_another_one(site: Site) -> None:
    """Prefixes add up."""
    outer = flask.Blueprint("outer", __name__, url_prefix="/v1")
    outer.register_blueprint(contract_blueprint(site.tts, make_handler, ann), url_prefix="/tts")
    app = flask.Flask(__name__)
    app.register_blueprint(outer)
    client = app.test_client()
    assert client.get("/v1/tts/api/health").json == {"ok": True}
    assert b"unknown_path" in client.get("/v1/tts/api/nothing").data


# --- Django -------------------------------------------------------------------------------------------


def test_django_opens_no_transaction_around_the_contract(site: Site) -> None:
    """ATOMIC_REQUESTS would hold one for as long as a provider takes to answer."""
    (pattern,) = contract_urls(site.tts, make_handler, ann)
    assert DEFAULT_DB_ALIAS in pattern.callback._non_atomic_requests  # type: ignore[attr-defined]
