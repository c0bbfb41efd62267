"""Bare routes of Flask and Django, over the same :class:`~ttsorch.sync.SyncOrchestrator` as the adapters.

What :mod:`benchmarks.bare_asgi` says of its routes is true of these.
"""

from typing import Any

import django as django_package
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from flask import Flask, request
from flask.typing import ResponseReturnValue

from benchmarks.by_hand import task_dict
from benchmarks.world import OWNERS
from ttsorch.errors import NotFound
from ttsorch.sync import SyncOrchestrator

_NO_TOKEN, _NO_TASK = "Invalid or expired token", "Task not found."

#: Both of Django's sides live in its one application, each below a path of its own.
urlpatterns: list[URLPattern] = []


def flask(tts: SyncOrchestrator) -> Any:
    """A dict, which Flask turns into JSON."""
    app = Flask(__name__)

    @app.get("/api/tasks/<task_id>")
    def show(task_id: str) -> ResponseReturnValue:
        owner = OWNERS.get(request.headers.get("authorization", ""))
        if owner is None:
            return {"detail": _NO_TOKEN}, 401
        try:
            job = tts.poll_once(task_id, owner=owner)
        except NotFound:
            return {"detail": _NO_TASK}, 404
        return task_dict(job, tts.now())

    @app.get("/api/health")
    def health() -> ResponseReturnValue:
        return {"ok": True}

    return app


def django(tts: SyncOrchestrator, contract: list[URLPattern]) -> Any:
    """``JsonResponse``. ``contract`` is what the adapter adds beside the bare routes. Its only middleware is
    the one that tells the length of an answer.
    """

    def show(incoming: HttpRequest, task_id: str) -> HttpResponse:
        owner = OWNERS.get(incoming.headers.get("authorization", ""))
        if owner is None:
            return JsonResponse({"detail": _NO_TOKEN}, status=401)
        try:
            job = tts.poll_once(task_id, owner=owner)
        except NotFound:
            return JsonResponse({"detail": _NO_TASK}, status=404)
        return JsonResponse(task_dict(job, tts.now()))

    def health(incoming: HttpRequest) -> HttpResponse:
        return JsonResponse({"ok": True})

    if not settings.configured:
        settings.configure(
            ROOT_URLCONF=__name__,
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="for benchmarks only",  # noqa: S106
            INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
            DATABASES={},
            MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        )
        django_package.setup()
    urlpatterns[:] = [
        path("bare/api/tasks/<task_id>", show),
        path("bare/api/health", health),
        *contract,
    ]
    return get_wsgi_application()
