"""One GET under the guard: every hop of it judged, credentials sent to where they belong and nowhere else."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress

import anyio
import httpx

from ttsorch._download.hosts import HostRules
from ttsorch._download.pace import Limits, Pace
from ttsorch._download.verdicts import blocked, of_exchange
from ttsorch._http.detached import Detached
from ttsorch._http.discretion import be_discreet, discreetly, watch_loggers
from ttsorch._http.origin import UnsafeUrl, origin_of
from ttsorch._http.reply import REDIRECTS
from ttsorch.errors import ProviderError, ProviderUnavailable


class Answer:
    """A response whose body is still to come. Whoever holds it closes it."""

    def __init__(self, response: httpx.Response, url: httpx.URL, closing: Detached) -> None:
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError("the transport isn't asynchronous")
        self.status = response.status_code
        self.headers = response.headers
        self.url = url
        self._stream = response.stream
        self._chunks = aiter(response.stream)
        self._closing = closing
        self._closed = False

    async def read(self, patience: float) -> bytes:
        """The next bytes of the body as they were sent; none at its end.

        Raises:
            TimeoutError: none came within ``patience`` seconds.
            Exception: whatever the transport raises.
        """
        with discreetly(), anyio.fail_after(patience):
            while True:
                try:
                    chunk = await anext(self._chunks)
                except StopAsyncIteration:
                    return b""
                if chunk:
                    return chunk

    async def aclose(self) -> None:
        """Leave the connection. Done in a task of its own: asyncio's cancellation of the caller's would
        reach into a shielded scope. Harmless when repeated."""
        if not self._closed:
            self._closed = True
            with anyio.CancelScope(shield=True):
                await self._closing.run(self._close)

    async def _close(self) -> None:
        be_discreet()
        # What goes wrong while a connection is given up is of no use to anybody.
        with suppress(Exception):
            if isinstance(self._chunks, AsyncGenerator):
                await self._chunks.aclose()
        with suppress(Exception):
            await self._stream.aclose()


class Fetcher:
    """Asks for what ``rules`` allow, through ``transport``."""

    def __init__(
        self, *, rules: HostRules, transport: httpx.AsyncBaseTransport, limits: Limits
    ) -> None:
        self._rules = rules
        self._transport = transport
        self._limits = limits
        self._closing = Detached()
        watch_loggers()

    async def aclose(self, grace: float) -> None:
        """Wait up to ``grace`` seconds until what is being closed is closed."""
        await self._closing.aclose(grace)

    async def ask(
        self, url: str, headers: Mapping[str, str], conditions: Mapping[str, str], pace: Pace
    ) -> Answer:
        """The response at the end of the redirects, whatever its status. ``headers`` go to the origin of
        ``url`` alone, and no more once we were sent away from it; ``conditions`` go everywhere.

        Raises:
            ProviderUnavailable: code ``result_url_blocked`` when the URL or where it leads isn't allowed;
                else there was no response.
            ProviderTimeout: code ``download_too_slow``.
        """
        target = self._allowed(url)
        home = origin_of(target)
        for _ in range(self._limits.max_hops + 1):
            if origin_of(target) != home:
                headers = {}
            answer = await self._send(target, {**headers, **conditions}, pace)
            if answer.status not in REDIRECTS:
                return answer
            await answer.aclose()
            target = self._allowed(answer.headers.get("location", ""), met_at=target)
        raise ProviderUnavailable(detail=f"more than {self._limits.max_hops} redirects from {home}")

    def _allowed(self, reference: str, met_at: httpx.URL | None = None) -> httpx.URL:
        failure: ProviderError
        try:
            if met_at is None:
                return self._rules.vet(reference)
            if reference:
                return self._rules.vet_redirect(met_at, reference)
        except UnsafeUrl as rule:
            failure = blocked(str(rule) + (f" (sent on by {origin_of(met_at)})" if met_at else ""))
        else:
            failure = ProviderUnavailable(detail="a redirect that leads nowhere")
        raise failure

    async def _send(self, url: httpx.URL, headers: Mapping[str, str], pace: Pace) -> Answer:
        request = httpx.Request(
            "GET", url, headers={**headers, **_EVERYWHERE}, extensions=self._extensions(pace)
        )
        try:
            with discreetly(), anyio.fail_after(pace.for_a_head(time.monotonic())):
                response = await self._transport.handle_async_request(request)
            return Answer(response, url, self._closing)
        except Exception as error:  # noqa: BLE001  # raised as ours, two lines on
            failure = of_exchange(error, url)
        # Raised here, and not in the handler, so that no reference leads to an exception that holds URLs.
        raise failure

    def _extensions(self, pace: Pace) -> dict[str, object]:
        connect, stall = self._limits.connect, self._limits.stall
        timeout = {"connect": connect, "write": stall, "read": stall, "pool": connect}
        return {"timeout": timeout, "deadline": pace.ends_at}


# A connection per request: its host is resolved and judged for this request, and none is left idle.
_EVERYWHERE = {"accept-encoding": "identity", "connection": "close"}
