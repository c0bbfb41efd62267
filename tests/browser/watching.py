"""What must never happen on the page, whatever a test is about."""

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError

# Chromium's own line for an answer or a connection that failed; those are judged one by one below.
_ABOUT_A_REQUEST = "Failed to load resource"
# A violation is a line of the console too, but not when only a report is asked for.
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`against the Content-Security-Policy: ${event.violatedDirective} ${event.blockedURI}`));
"""


class Watch:
    """Collects what goes wrong in one browser context: a line in the console, an exception, a request to
    another host, an answer or a connection that failed although the test hadn't announced it."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.origin = origin
        self.trouble: list[str] = []
        self._statuses: set[int] = set()
        self._unreachable = False
        context.add_init_script(_TELL_VIOLATIONS)
        context.on("console", self._heard)
        context.on("weberror", self._crashed)
        context.on("request", self._asked)
        context.on("response", self._answered)
        context.on("requestfailed", self._failed)

    def expect(self, *statuses: int) -> None:
        """From now on the server may answer with these."""
        self._statuses.update(statuses)

    def expect_no_answer(self) -> None:
        """From now on the server may be out of reach."""
        self._unreachable = True

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_ABOUT_A_REQUEST):
            self.trouble.append(f"console: {message.text}")

    def _crashed(self, error: WebError) -> None:
        self.trouble.append(f"exception: {error.error}")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("blob", "data"):
            return
        if f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.trouble.append(f"foreign request: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self._statuses:
            self.trouble.append(f"{response.status}: {response.request.method} {response.url}")

    def _failed(self, request: Request) -> None:
        # ERR_ABORTED: the page itself, or a reload, gave it up.
        if not self._unreachable and request.failure != "net::ERR_ABORTED":
            self.trouble.append(f"{request.failure}: {request.method} {request.url}")
