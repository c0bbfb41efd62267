"""The downloader as providers use it: a URL in, a stream of audio out, or an error that says what to do."""

import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType, TracebackType
from typing import TypeAlias

import anyio
import httpx

from ttsorch._download.body import Body
from ttsorch._download.fetching import Answer, Fetcher
from ttsorch._download.hosts import HostRules
from ttsorch._download.network import Resolver, VettedNetwork
from ttsorch._download.pace import Limits, Pace
from ttsorch._http import Reply, get_request, retry_hint
from ttsorch._http.origin import origin_of
from ttsorch._http.transport import LineTransport
from ttsorch.errors import NotReady, ProviderError, ProviderUnavailable, ResultExpired
from ttsorch.models import AudioSource, AudioStream

#: From a response that isn't audio to the error that a vendor means by it.
Failure: TypeAlias = Callable[[Reply], ProviderError]

_MAX_ERROR_BODY = 64 * 1024

# Closing is local work: a socket is let go of, nothing is waited for.
_GRACE = 1.0


class Downloader:
    """Downloads audio from ``hosts``: names (``api.example.com``) or patterns (``*.example.com``, every
    name below it but not itself), over https on port 443 only, and only while every address of theirs is
    public. ``private`` are ``host:port`` values (lower case, IPv6 in brackets) that the operator vouches
    for: they are used as given, at whatever address, by plain http too. Any other plain http URL is raised
    to https.

    A ``transport`` that is handed in stays the caller's to close. It makes the connections, so the rule on
    addresses and ``resolve`` don't apply: only those on URLs do.

    Raises:
        ConfigurationError: ``hosts`` or ``private`` has a value of another form.
    """

    def __init__(
        self,
        *,
        hosts: Sequence[str],
        private: Sequence[str] = (),
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits or Limits()
        rules = HostRules(hosts, private)
        self._own: LineTransport | None = None
        if transport is None:
            network = VettedNetwork(exempt=rules.is_private, resolve=resolve)
            transport = self._own = LineTransport(backend=network, ssl_context=ssl_context)
        self._fetcher = Fetcher(rules=rules, transport=transport, limits=self._limits)
        self._closed = False

    def open(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        failure: Failure | None = None,
    ) -> AudioSource:
        """The audio at ``url``. Nothing is asked until the source is entered; from then on, while its chunks
        are read too, it may raise what is listed below.

        ``headers`` are for credentials: they go to the origin of ``url`` only. ``failure`` turns a response
        that is neither audio, nor a redirect, nor a 202, into the vendor's meaning of it; it is given at
        most 64 KiB of the body.

        Raises:
            ProviderUnavailable: code ``result_url_blocked`` (not retryable) when the URL, a redirect or an
                address behind them breaks a rule; else the server can't be reached, says so, or broke off
                and could not be resumed.
            NotReady: 202.
            ResultExpired: 403, 404, 410.
            ProviderTimeout: code ``download_too_slow``.
            CorruptResult: code ``result_too_large``, or it came compressed.
        """
        return _Download(partial(self._start, url, headers or {}, failure))

    async def aclose(self) -> None:
        """Open no more downloads. Those under way end by themselves. Harmless when repeated."""
        self._closed = True
        await self._fetcher.aclose(_GRACE)
        if self._own is not None:
            await self._own.aclose()

    async def _start(
        self, url: str, headers: Mapping[str, str], failure: Failure | None
    ) -> tuple[Body, str | None]:
        if self._closed:
            raise ProviderUnavailable(detail="the downloader is closed")
        pace = Pace(self._limits, time.monotonic())
        ask = partial(self._fetcher.ask, url, _checked(headers), pace=pace)
        answer = await ask({})
        accepted = False
        try:
            if answer.status != 200:
                raise await _refusal(answer, pace, failure)
            body = Body(answer, ask, self._limits, pace)
            accepted = True
        finally:
            if not accepted:
                await answer.aclose()
        return body, answer.headers.get("content-type")


class _Download:
    """One download, an :data:`~ttsorch.models.AudioSource`."""

    def __init__(self, start: Callable[[], Awaitable[tuple[Body, str | None]]]) -> None:
        self._start = start
        self._body: Body | None = None

    async def __aenter__(self) -> AudioStream:
        body, content_type = await self._start()
        self._body = body
        return AudioStream(body, content_type, body.length)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._body is not None:
            await self._body.aclose()


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    """Checked as those of any request of ours; its URL is never asked."""
    request = get_request("https://headers.invalid", headers=headers)
    return {name: value for name, value in request.headers.items() if name != "host"}


async def _refusal(answer: Answer, pace: Pace, failure: Failure | None) -> ProviderError:
    """What a status other than 200 means."""
    after = retry_hint(answer.headers).after
    detail = f"{origin_of(answer.url)} answered {answer.status}"
    if answer.status == 202:
        return NotReady(detail=detail, retry_after=after)
    if failure is not None:
        headers = MappingProxyType(dict(answer.headers.items()))
        body = await _beginning(answer, pace)
        return failure(Reply(answer.status, headers, body, str(answer.url)))
    if answer.status in (403, 404, 410):
        return ResultExpired(detail=detail)
    return ProviderUnavailable(detail=detail, retry_after=after)


async def _beginning(answer: Answer, pace: Pace) -> bytes:
    """As much of an error's body as comes; that it breaks off is no news."""
    body = bytearray()
    with anyio.move_on_after(pace.for_a_chunk(time.monotonic())):
        while len(body) < _MAX_ERROR_BODY:
            try:
                chunk = await answer.read(pace.for_a_chunk(time.monotonic()))
            except Exception:  # noqa: BLE001  # the status is what counts
                break
            if not chunk:
                break
            body += chunk
    return bytes(body[:_MAX_ERROR_BODY])
