"""One request to the server under test, and its whole answer.

Not :class:`ttsorch._http.HttpClient`, which is made for vendors: it refuses plain http to other machines,
which is where a backend under test may well be (a container, a colleague's desk), and what it sends outlives
the caller. Here every request has its own connection, so that none is ever sent twice; a deadline; and no
redirect, proxy, cookie or log line of the HTTP library's.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urljoin

import anyio
import httpx

from ttsorch._http.discretion import discreetly, watch_loggers

#: Longest audio that is read, in bytes.
_MAX_BODY = 256 * 1024 * 1024


class NoAnswer(Exception):
    """The server gave none, or only a part of it. The message says how, and never to what URL.
    ``connected`` is False when it couldn't even be reached."""

    def __init__(self, reason: str, *, connected: bool = True) -> None:
        super().__init__(reason)
        self.connected = connected


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read to its end. Names of ``headers`` are lower-case. ``url`` is what was asked."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    url: str = field(repr=False)

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> object:
        """
        Raises:
            ValueError: it isn't JSON.
        """
        return json.loads(self.content)

    def resolved(self, reference: str) -> str:
        """The URL that a link in this answer means, as a browser takes it."""
        return urljoin(self.url, reference)


class Client:
    """Requests to one server; ``deadline`` is in seconds, for each of them whole."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._http = httpx.AsyncClient(
            timeout=deadline,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={
                "accept": "*/*",
                "accept-encoding": "identity",
                "user-agent": "ttsorch-contract-test",
            },
        )
        watch_loggers()

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes = b""
    ) -> Answer:
        """
        Raises:
            NoAnswer: for whatever reason.
        """
        try:
            with discreetly(), anyio.fail_after(self._deadline):
                return await self._whole(method, url, headers, content)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            failure = NoAnswer("the server can't be reached", connected=False)
        except (TimeoutError, httpx.TimeoutException):
            failure = NoAnswer(f"no whole answer within {self._deadline:g} seconds")
        except httpx.RemoteProtocolError:
            failure = NoAnswer("the answer broke off, or isn't HTTP")
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError):
            failure = NoAnswer("the connection broke")
        # Raised here, and not in a handler, so that nothing leads to an exception that holds a URL.
        raise failure

    async def _whole(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes
    ) -> Answer:
        async with self._http.stream(
            method, url, headers=headers, content=content or None
        ) as reply:
            body = bytearray()
            async for chunk in reply.aiter_raw():
                body += chunk
                if len(body) > _MAX_BODY:
                    raise NoAnswer("the answer is too large to be speech")
            names = {name.lower(): value for name, value in reply.headers.items()}
            return Answer(reply.status_code, names, bytes(body), url)
