"""One request of a framework that answers in threads: what its thread and the loop say to each other."""

from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeAlias, TypeVar

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from ttsorch.contract import ClientGone, ContractHandler, HttpRequest, HttpResponse
from ttsorch.contract.exchange import STALLED_SECONDS
from ttsorch.errors import InternalError

T = TypeVar("T")

_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """An ``HttpRequest`` whose two functions block, and are called in the thread of the request only.

    ``read`` returns at most that many bytes of the body, none at its end; ``ClientGone`` and ``OSError``
    mean that the client left.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    read: Callable[[int], bytes]
    authenticate: Callable[[], str | None]
    root: str
    scheme: str
    peer: str | None


@dataclass(frozen=True, slots=True)
class _Ended:
    """The task on the loop is over; ``error`` is why, unless it has done all that it had to."""

    error: BaseException | None


class _Question(Generic[T]):
    """Something that the loop wants to know from the request's thread."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._answers: list[T] = []
        self._error: Exception | None = None
        self._loop: EventLoopToken | None = None
        self._answered: anyio.Event | None = None

    def answer(self) -> None:
        """In the thread. What ends the thread itself (an interrupt) is raised here, all else at the loop."""
        try:
            self._answers.append(self._function())
        except Exception as error:  # noqa: BLE001 - raised where it was asked for
            self._error = error
        if self._loop is not None and self._answered is not None:
            _soon(self._loop, self._answered.set)

    async def asked(self, inbox: "SimpleQueue[_Message]") -> T:
        """On the loop: the answer of the thread at the other side of ``inbox``, if it hasn't given it yet."""
        if not self._answers and self._error is None:
            self._loop, self._answered = current_token(), anyio.Event()
            inbox.put(self)
            await self._answered.wait()
        if self._error is not None:
            raise self._error
        return self._answers[0]


_Message: TypeAlias = "_Question[Any] | HttpResponse | bytes | _Ended"


class Exchange:
    """One request and its answer: a task on the loop, and a thread that waits for what that task says."""

    def __init__(self, request: SyncRequest) -> None:
        self._request = request
        self._owner = _Question(request.authenticate)
        self._inbox: SimpleQueue[_Message] = SimpleQueue()
        self._loop: EventLoopToken | None = None
        self._wanted: anyio.Event | None = None

    # --- on the loop ----------------------------------------------------------------------------------

    async def hold(self, handler: ContractHandler) -> None:
        """The whole of it, to the end of the response's body."""
        response = await handler.handle(self._translated())
        body, self._loop, wanted = response.body, current_token(), self._expect()
        self._inbox.put(response)
        if isinstance(body, bytes):
            return
        # Nothing is opened before somebody reads: an answer may be dropped on its way out.
        async with aclosing(body):
            await _in_time(wanted)
            async for chunk in body:
                wanted = self._expect()
                self._inbox.put(chunk)
                await _in_time(wanted)

    def _expect(self) -> anyio.Event:
        self._wanted = anyio.Event()
        return self._wanted

    def _translated(self) -> HttpRequest:
        request = self._request
        return HttpRequest(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=self._body(),
            authenticate=lambda: self._owner.asked(self._inbox),
            root=request.root,
            scheme=request.scheme,
            peer=request.peer,
        )

    async def _body(self) -> AsyncGenerator[bytes, None]:
        missing = _declared_length(self._request.headers)
        while missing != 0:
            size = _READ_BYTES if missing is None else min(_READ_BYTES, missing)
            read = _Question(partial(self._request.read, size))
            try:
                chunk = await read.asked(self._inbox)
            except OSError:
                raise ClientGone from None
            if not chunk:
                break
            if missing is not None:
                missing -= len(chunk)
            yield chunk
        if missing:
            raise ClientGone

    # --- in the request's thread ----------------------------------------------------------------------

    def authenticate_now(self) -> None:
        """Before the loop asks, which costs a way there and back; an error is kept until it does."""
        self._owner.answer()

    def wait_for_response(self, future: "Future[None]") -> HttpResponse:
        """Do what the loop asks for until it has the answer.

        Raises:
            ClientGone: there is nobody to be answered.
            TtsorchError: the orchestrator was closed meanwhile.
        """
        future.add_done_callback(self._end)
        try:
            while isinstance(message := self._inbox.get(), _Question):
                message.answer()
        except BaseException:
            future.cancel()
            raise
        if isinstance(message, HttpResponse):
            return message
        raise _error_of(message)

    def next_chunk(self) -> bytes | None:
        """The next chunk of the streamed body, None at its end; raises what broke it off."""
        if self._loop is not None and self._wanted is not None:
            _soon(self._loop, self._wanted.set)
        message = self._inbox.get()
        if isinstance(message, bytes):
            return message
        if isinstance(message, _Ended) and message.error is None:
            return None
        raise _error_of(message)

    def _end(self, future: "Future[None]") -> None:
        error = CancelledError() if future.cancelled() else future.exception()
        self._inbox.put(_Ended(error))


def _declared_length(headers: Mapping[str, str]) -> int | None:
    declared = headers.get("content-length", "")
    # Where both are sent, the coding counts (RFC 9112, 6.3).
    known = "transfer-encoding" not in headers and declared.isdecimal() and len(declared) < 20
    return int(declared) if known else None


async def _in_time(wanted: anyio.Event) -> None:
    """Raises ``ClientGone`` when nobody asks for the next chunk any more."""
    with anyio.move_on_after(STALLED_SECONDS):
        await wanted.wait()
    if not wanted.is_set():
        raise ClientGone


def _error_of(message: _Message) -> BaseException:
    if isinstance(message, _Ended) and message.error is not None:
        return message.error
    return InternalError(detail=f"{type(message).__name__} out of turn")


def _soon(loop: EventLoopToken, function: Callable[[], object]) -> None:
    """Call ``function`` on the loop, without waiting for it. If the loop has ended, nobody waits there."""
    native: Any = loop.native_token
    asyncios = getattr(native, "call_soon_threadsafe", None)
    schedule = asyncios or native.run_sync_soon  # trio's
    try:
        schedule(function)
    except RuntimeError:
        pass
