"""The contract for frameworks that answer in threads: Flask, and Django.

The handler runs on the loop of a :class:`~ttsorch.sync.SyncOrchestrator`; the request stays in the thread
that brought it. Whatever touches the framework is done there, while that thread waits for the answer: who
is asking (a database connection belongs to its thread, Flask's ``request`` to its context) and reading the
body. The loop asks, the thread answers.

A streamed body is read in one task on the loop, that of the whole exchange, chunk by chunk as the thread
asks for them.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeAlias

from ttsorch.adapters._sync_exchange import Exchange, SyncRequest
from ttsorch.contract import ContractHandler, failure_response, request_id
from ttsorch.contract.handler import asks_who
from ttsorch.errors import TtsorchError
from ttsorch.orchestrator import Orchestrator
from ttsorch.sync import SyncOrchestrator

logger = logging.getLogger("ttsorch.contract")

#: Makes the handler over the orchestrator that runs: ``partial(ContractHandler, signing_key=key)``.
MakeHandler: TypeAlias = Callable[[Orchestrator], ContractHandler]


@dataclass(frozen=True, slots=True)
class SyncResponse:
    """An ``HttpResponse`` whose streamed body is an iterator, to be closed by who reads it."""

    status: int
    headers: Mapping[str, str]
    body: "bytes | Chunks"


class SyncBridge:
    """From a request in any thread to the contract's answer."""

    def __init__(self, tts: SyncOrchestrator, make_handler: MakeHandler) -> None:
        self._tts = tts
        self._make_handler = make_handler
        self._made: tuple[Orchestrator, ContractHandler] | None = None

    def handle(self, request: SyncRequest) -> SyncResponse:
        """The answer, whatever happens; a 500 while the orchestrator isn't running.

        Raises:
            ClientGone: the client left before it had said what it wants.
        """
        exchange = Exchange(request)
        if asks_who(request.method, request.path):
            exchange.authenticate_now()
        try:
            future = self._tts.begin(lambda tts: exchange.hold(self._handler(tts)))
            response = exchange.wait_for_response(future)
        except TtsorchError as error:
            return _unavailable(request, error)
        body = response.body
        return SyncResponse(
            response.status,
            response.headers,
            body if isinstance(body, bytes) else Chunks(exchange, future),
        )

    def _handler(self, orchestrator: Orchestrator) -> ContractHandler:
        # Made again when the orchestrator was started again; always on the loop, so never twice at once.
        if self._made is None or self._made[0] is not orchestrator:
            self._made = orchestrator, self._make_handler(orchestrator)
        return self._made[1]


class Chunks(Iterator[bytes]):
    """A body as WSGI wants it. Each chunk is read when it is asked for; closing it early closes the blob.

    Raises:
        ClientGone: it was not asked for in time.
        Exception: what else broke it off. Nobody may take it for whole.
    """

    def __init__(self, exchange: Exchange, future: "Future[None]") -> None:
        self._exchange = exchange
        self._future = future
        self._over = False

    def __next__(self) -> bytes:
        chunk = None if self._over else self._exchange.next_chunk()
        if chunk is None:
            self._over = True
            raise StopIteration
        return chunk

    def close(self) -> None:
        self._over = True
        self._future.cancel()


def _unavailable(request: SyncRequest, error: TtsorchError) -> SyncResponse:
    """The orchestrator isn't running here: never started, closed, or started before a fork."""
    known = request_id(request.headers.get("x-request-id"))
    logger.error("request %s: %s (%s)", known, error.code, error.detail)
    answer = failure_response(error, known).with_headers({"x-request-id": known})
    body = answer.body if isinstance(answer.body, bytes) and request.method != "HEAD" else b""
    return SyncResponse(answer.status, answer.headers, body)
