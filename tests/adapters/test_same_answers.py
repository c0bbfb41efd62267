"""Differential: each framework's answers are those of the bare handler, byte for byte."""

from collections.abc import Iterator, Sequence

from tests.adapters.frameworks import Served
from tests.adapters.http import Answer
from tests.contract.world import MISSING_ID
from ttsorch.contract.handler import ROUTES

_METHODS = ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "BREW", "get")

_PATHS = sorted(
    {route.path.replace("{id}", MISSING_ID).replace("{key:path}", "a/b/1.wav") for route in ROUTES}
)

_ODD_TARGETS = (
    "/api",
    "/api/",
    "/api/nothing",
    "/api/health/",
    "/api//health",
    "/api/health//",
    "/api/./health",
    "/api/tasks/../health",
    "/api/tasks/",
    "/api/tasks/a/b",
    "/api/tasks/%2e%2e",
    "/api/tasks/%2E",
    "/api/tasks/a%2Fb",
    "/api/tasks/%0a",
    "/api/health%0a",
    "/api/%0A/x",
    "/api/tasks/%0D%0Ax",
    "/api/tasks/%00",
    "/api/tasks/%ff",
    "/api/%c3%28/x",
    "/api/tasks/%E2%80%A8",
    "/api/tasks/%25",
    "/api/tasks/%zz",
    "/api/tasks/%",
    "/api/tasks/" + "x" * 3000,
    "/api/voices?page=2&search=%F0%9F%98%80+x&per_page=nonsense",
    "/api/voices?%ff=%zz&&=&page=",
    "/api/media/a/b/1.wav?expires=1&signature=x",
    "/api/media/a//b/../%2e%2e/1.wav",
    "/api/media/%ff",
    "/api/tasks?status=all",
)

#: llhttp, which aiohttp reads requests with, has a list of the methods that there are. Django under ASGI
#: takes one in small letters for the other one.
_NOT_LET_THROUGH = {"aiohttp": ("BREW", "get"), "django-asgi": ("get",)}


def _exchanges() -> Iterator[tuple[str, str, str | None]]:
    """Method, target, token."""
    for path in (*_PATHS, "/api/nothing"):
        for method in _METHODS:
            yield method, path, None
        for method in ("GET", "HEAD"):
            yield method, path, "ann"
    for target in _ODD_TARGETS:
        for method in ("GET", "POST"):
            yield method, target, "ann"


def _headers(token: str | None) -> Sequence[tuple[str, str]]:
    sent = [("X-Request-ID", "q"), ("Origin", "https://page.example")]
    return sent if token is None else [*sent, ("Authorization", f"Bearer {token}")]


def _describe(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    return answer.status, dict(answer.headers), answer.content


def test_every_answer_is_the_handlers(served: Served, framework: str) -> None:
    """Every route with every method, with and without a token, and paths that nobody has thought of:
    status, headers and body."""
    wrong = {}
    for method, target, token in _exchanges():
        if method in _NOT_LET_THROUGH.get(framework, ()):
            continue
        headers = _headers(token)
        expected = _describe(served.bare(method, target, headers))
        # The token is among the headers already.
        answer = _describe(served.nobody.ask(method, target, headers=headers))
        if answer != expected:
            wrong[method, target, token] = answer, expected
    assert wrong == {}
