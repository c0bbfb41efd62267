"""The audio as it comes: counted, timed, and taken up again where it broke off."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import httpx

from ttsorch._audio.verdicts import too_large
from ttsorch._download.fetching import Answer
from ttsorch._download.pace import Limits, Pace
from ttsorch._download.verdicts import broken_off, compressed, longer_than_announced, too_slow
from ttsorch._http.origin import origin_of
from ttsorch.errors import ProviderUnavailable

#: From conditions (header fields) to the response of the same GET under them.
Ask: TypeAlias = Callable[[Mapping[str, str]], Awaitable[Answer]]

# RFC 9110, 8.8.3, without the weak ones: those promise the same meaning, not the same bytes.
_STRONG_ETAG = re.compile(r'"[!#-~\x80-\xff]+"')
_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


class Body:
    """The chunks of one download. An iterator and not a generator, so that nothing is left for the garbage
    collector to finish when the reader stops half way (trio objects to that).

    Raises:
        CorruptResult: compressed, or too large, as announced or as counted.
    """

    def __init__(self, answer: Answer, ask: Ask, limits: Limits, pace: Pace) -> None:
        self.length = _announced_length(answer.headers)
        self._answer = answer
        self._ask = ask
        self._limits = limits
        self._pace = pace
        self._etag = _strong_etag(answer.headers)
        self._received = 0
        self._resumes = 0
        self._over = False
        self._in_order = True
        _refuse_coding(answer)
        self._check_size(self.length)

    def __aiter__(self) -> "Body":
        return self

    async def __anext__(self) -> bytes:
        if self._over:
            raise StopAsyncIteration
        if not self._in_order:
            # After an error or a cancellation, what is missing must not look like an end.
            raise ProviderUnavailable(detail="the download was given up before")
        self._in_order = False
        while (chunk := await self._receive()) is None:
            await self._resume()
        self._in_order = True
        if not chunk:
            self._over = True
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Leave the connection; harmless when repeated."""
        await self._answer.aclose()

    async def _receive(self) -> bytes | None:
        """The next bytes; none at the end; None when the connection broke."""
        began = time.monotonic()
        slow = False
        try:
            chunk = await self._answer.read(self._pace.for_a_chunk(began))
            slow = not self._pace.keeps_up(len(chunk), time.monotonic() - began)
        except (TimeoutError, httpx.TimeoutException):
            slow = True
        except Exception:  # noqa: BLE001  # whatever the transport calls it, the bytes stopped
            chunk = b""
            if self._received != self.length:
                return None
        if slow:
            raise too_slow(f"{origin_of(self._answer.url)} after {self._received} bytes")
        self._received += len(chunk)
        self._check_size(self._received)
        if self.length is not None and self._received > self.length:
            raise longer_than_announced(self._answer.url)
        if not chunk and self.length is not None and self._received < self.length:
            return None
        return chunk

    async def _resume(self) -> None:
        """Ask for the rest, if it is certain to be the rest of the same bytes (RFC 9110, 13.1.5, 14.2)."""
        broken = self._answer
        if self._etag is None:
            raise broken_off(broken.url, self._received, "it has no strong ETag to resume by")
        if self._resumes == self._limits.max_resumes:
            raise broken_off(broken.url, self._received, f"it was resumed {self._resumes} times")
        self._resumes += 1
        await broken.aclose()
        rest = {"range": f"bytes={self._received}-", "if-range": self._etag}
        self._answer = await self._ask(rest)
        problem = self._mismatch(self._answer, origin_of(broken.url))
        if problem is not None:
            raise broken_off(broken.url, self._received, problem)
        self._check_size(self.length)

    def _mismatch(self, answer: Answer, origin: str) -> str | None:
        """Why ``answer`` can't be the rest of what we have. Learns the length from one that can."""
        if answer.status != 206:
            return f"asked for the rest, it answered {answer.status}"
        _refuse_coding(answer)
        # An ETag means nothing outside the place that gave it.
        if origin_of(answer.url) != origin or _strong_etag(answer.headers) != self._etag:
            return "the rest is of something else"
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        first, last, total = map(int, match.groups()) if match else (-1, -1, -1)
        if first != self._received or last != total - 1 or self.length not in (None, total):
            return "the rest isn't the range that we asked for"
        if _announced_length(answer.headers) not in (None, total - first):
            return "the rest has another length than its range"
        self.length = total
        return None

    def _check_size(self, size: int | None) -> None:
        if size is not None and size > self._limits.max_bytes:
            raise too_large(self._limits.max_bytes)


def _announced_length(headers: httpx.Headers) -> int | None:
    # With a transfer coding, Content-Length is not the length (RFC 9112, 6.3).
    value = headers.get("content-length", "")
    return int(value) if _LENGTH.fullmatch(value) and "transfer-encoding" not in headers else None


def _strong_etag(headers: httpx.Headers) -> str | None:
    value = headers.get("etag", "")
    return value if _STRONG_ETAG.fullmatch(value) else None


def _refuse_coding(answer: Answer) -> None:
    if answer.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise compressed(answer.url)
