"""Everything that can go wrong with one call of the page."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from playwright.sync_api import Page, Route


@dataclass(frozen=True)
class Trouble:
    """``say`` is what the page must tell, a pattern; ``status`` is None when no answer comes."""

    name: str
    status: int | None
    say: str
    body: str = ""
    retry_after: int | None = None

    def meet(self, route: Route) -> None:
        if self.status is None:
            route.abort("connectionrefused")
            return
        headers = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        route.fulfill(
            status=self.status, content_type="application/json", body=self.body, headers=headers
        )


def _told(name: str, status: int, retry_after: int | None = None) -> Trouble:
    """The contract's answer: its sentence is shown, or what the page says instead for every such status."""
    sentence = f"The moon is in the way of {status}."
    return Trouble(name, status, re.escape(sentence), f'{{"detail": "{sentence}"}}', retry_after)


#: Each tells something of its own, so that none is taken for the one before it.
TROUBLES = (
    _told("not found", 404),
    _told("conflict", 409),
    _told("too large", 413),
    _told("too many", 429, 7),
    _told("broken", 500),
    _told("unavailable", 503, 3),
    Trouble("a proxy's page", 502, "The server has a problem", "<html>Bad gateway</html>"),
    Trouble("broken JSON", 200, "can’t be understood", '{"detail'),
    Trouble("no answer", None, "can’t be reached"),
)
#: Somebody else's token, or one that has expired.
SIGNED_OUT = Trouble("signed out", 401, "", '{"detail": "Invalid or expired token"}')
STATUSES = (401, 404, 409, 413, 429, 500, 502, 503)


class Road:
    """Between the page and one call of the server."""

    def __init__(self, page: Page, method: str, path: str) -> None:
        self._meet: Callable[[Route], None] | None = None
        self._method = method
        self.asked = 0
        page.route(re.compile(path), self._pass)

    def block(self, trouble: Trouble) -> None:
        """From now on nobody gets through."""
        self._meet = trouble.meet

    def open(self) -> None:
        self._meet = None

    def _pass(self, route: Route) -> None:
        if route.request.method != self._method:
            route.fallback()
            return
        self.asked += 1
        if self._meet:
            self._meet(route)
        else:
            route.fallback()


class Gate:
    """Holds whatever is asked for below some addresses, and remembers it, until it is opened."""

    def __init__(self, page: Page, pattern: str) -> None:
        self.asked: list[str] = []
        self._held: list[Route] | None = []
        self._page = page
        page.route(pattern, self._pass)

    def wait_for(self, count: int) -> None:
        """Until so many came."""
        while len(self.asked) < count:
            self._page.wait_for_event("request", lambda request: True)

    def open(self) -> "Gate":
        held, self._held = self._held or [], None
        for route in held:
            route.continue_()
        return self

    def _pass(self, route: Route) -> None:
        address = urlsplit(route.request.url)
        self.asked.append(address.path + (f"?{address.query}" if address.query else ""))
        if self._held is None:
            route.continue_()
        else:
            self._held.append(route)
