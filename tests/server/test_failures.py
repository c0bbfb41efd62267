"""What the reference server answers when a part of it breaks, seen inside one process."""

from collections.abc import Callable

import httpx
import pytest
from starlette.types import ASGIApp

from examples.reference_server import app as server
from examples.reference_server import page
from examples.reference_server.app import build_app
from tests.contract.world import SIGNING_KEY, a_world
from ttsorch.config import Config

pytestmark = pytest.mark.anyio


async def _ask(app: ASGIApp, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get(path, headers={"x-request-id": "q-1"})


def _break(*arguments: object, **named: object) -> None:
    raise LookupError("hunter2")


def _break_adapter(patch: pytest.MonkeyPatch) -> None:
    async def broken(*arguments: object) -> None:
        raise LookupError("hunter2")

    patch.setattr(server, "asgi_app", lambda *arguments: broken)


def _break_guard(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("examples.reference_server.guards._host_name", _break)


def _break_page(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(page, "Response", _break)


@pytest.mark.parametrize(
    ("breaking", "path"),
    [
        (_break_adapter, "/api/health"),
        (_break_guard, "/api/health"),
        (_break_page, "/generate"),
    ],
)
async def test_a_bug_outside_the_contract_is_answered_like_one_inside(
    breaking: Callable[[pytest.MonkeyPatch], None], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C2: 500 in JSON with a sentence, the request's id and nothing else; the server logs the rest."""
    breaking(monkeypatch)
    async with a_world() as world:
        answer = await _ask(build_app(Config(), world.orchestrator, SIGNING_KEY), path)
    assert answer.status_code == 500
    assert answer.json() == {
        "detail": "Something went wrong on the server. Please try again.",
        "code": "internal_error",
        "category": "provider_unavailable",
        "request_id": "q-1",
    }
    assert answer.headers["x-request-id"] == "q-1"
