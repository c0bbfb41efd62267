"""Bare routes of the async frameworks: what a host would write by hand if there were no adapter.

Each does what the adapter's route does and no more than its framework's own tutorial shows: look the owner
up by the header, ``await poll_once``, answer with the contract's JSON, 401 and 404 where they belong. None
sets the contract's other headers (``X-Request-ID``, ``Cache-Control``, ``nosniff``), and none has its CORS,
error bodies or logging: the adapters do all that within their bar.
"""

from datetime import datetime
from typing import Annotated, Any

from aiohttp import web
from fastapi import Depends, FastAPI, Header, HTTPException
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from litestar.exceptions import HTTPException as LitestarHTTPException
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.by_hand import task_dict
from benchmarks.world import OWNERS
from ttsorch.errors import NotFound
from ttsorch.orchestrator import Orchestrator

_NO_TOKEN, _NO_TASK = "Invalid or expired token", "Task not found."


def starlette(orchestrator: Orchestrator) -> Any:
    """Plain functions and ``JSONResponse``."""

    async def show(request: Request) -> Response:
        owner = OWNERS.get(request.headers.get("authorization", ""))
        if owner is None:
            return JSONResponse({"detail": _NO_TOKEN}, 401)
        try:
            job = await orchestrator.poll_once(request.path_params["id"], owner=owner)
        except NotFound:
            return JSONResponse({"detail": _NO_TASK}, 404)
        return JSONResponse(task_dict(job, orchestrator.now()))

    async def health(request: Request) -> Response:
        return JSONResponse({"ok": True})

    return Starlette(routes=[Route("/api/tasks/{id}", show), Route("/api/health", health)])


class TaskOut(BaseModel):
    """The response model that FastAPI documents and validates."""

    id: str
    type: str
    status: str
    error: str | None
    provider: str
    provider_status: str
    provider_poll_count: int
    modal_status: str | None
    modal_elapsed_seconds: float | None
    modal_poll_count: int
    created_at: datetime
    completed_at: datetime | None
    generation_id: str | None
    voice_name: str
    text_preview: str | None
    language: str | None
    estimated_duration_minutes: float
    supports_cancel: bool
    progress: float | None
    poll_after_ms: int | None
    error_code: str | None
    error_category: str | None


def fastapi(orchestrator: Orchestrator) -> Any:
    """A dependency for the owner, a response model for the answer."""
    app = FastAPI()

    async def known_owner(authorization: Annotated[str, Header()] = "") -> str:
        owner = OWNERS.get(authorization)
        if owner is None:
            raise HTTPException(401, _NO_TOKEN)
        return owner

    @app.get("/api/tasks/{task_id}")
    async def show(task_id: str, owner: Annotated[str, Depends(known_owner)]) -> TaskOut:
        try:
            job = await orchestrator.poll_once(task_id, owner=owner)
        except NotFound:
            raise HTTPException(404, _NO_TASK) from None
        return TaskOut.model_validate(task_dict(job, orchestrator.now()))

    @app.get("/api/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}

    return app


def litestar(orchestrator: Orchestrator) -> Any:
    """A dict, which Litestar gives to msgspec."""

    @litestar_get("/api/tasks/{task_id:str}")
    async def show(task_id: str, request: LitestarRequest[Any, Any, Any]) -> dict[str, object]:
        owner = OWNERS.get(request.headers.get("authorization", ""))
        if owner is None:
            raise LitestarHTTPException(_NO_TOKEN, status_code=401)
        try:
            job = await orchestrator.poll_once(task_id, owner=owner)
        except NotFound:
            raise LitestarHTTPException(_NO_TASK, status_code=404) from None
        return task_dict(job, orchestrator.now())

    @litestar_get("/api/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}

    return Litestar([show, health])


def aiohttp(orchestrator: Orchestrator) -> web.Application:
    """``web.json_response``."""

    async def show(request: web.Request) -> web.Response:
        owner = OWNERS.get(request.headers.get("authorization", ""))
        if owner is None:
            return web.json_response({"detail": _NO_TOKEN}, status=401)
        try:
            job = await orchestrator.poll_once(request.match_info["id"], owner=owner)
        except NotFound:
            return web.json_response({"detail": _NO_TASK}, status=404)
        return web.json_response(task_dict(job, orchestrator.now()))

    async def health(request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    app = web.Application()
    app.router.add_get("/api/tasks/{id}", show)
    app.router.add_get("/api/health", health)
    return app
