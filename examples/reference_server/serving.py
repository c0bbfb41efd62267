"""The process around the application: its socket, its signals, its log."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from types import FrameType

import anyio.to_thread
import uvicorn

from examples.reference_server.app import build_app
from ttsorch.config import Config, load_signing_key, open_orchestrator
from ttsorch.orchestrator import Orchestrator

#: In seconds: how long open connections may take to end after a signal.
_GRACE = 2
_LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class CannotStart(Exception):
    """The server can't start here; the message is for the person who tried."""


#: Something to do before the server is ready.
Prepare = Callable[[Orchestrator], Awaitable[None]]


async def serve(config: Config, prepare: Prepare | None = None) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: a setting is wrong.
        CannotStart: the address can't be used.
        StorageUnavailable: the database or the blob store can't be opened.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=_LOG_FORMAT)
    logging.getLogger("uvicorn.error").addFilter(_is_failure)
    logging.getLogger("uvicorn.error").addFilter(_lower_a_clients_fault)
    with _listening_socket(config) as listener:
        async with open_orchestrator(config) as orchestrator:
            if prepare is not None:
                await prepare(orchestrator)
            key = await anyio.to_thread.run_sync(load_signing_key, config)
            app = build_app(config, orchestrator, key)
            settings = uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                log_level=logging.WARNING,
                lifespan="off",
                ws="none",
                server_header=False,
                # Which proxies to believe is the contract's to know.
                proxy_headers=False,
                timeout_graceful_shutdown=_GRACE,
            )
            await _Server(settings, _address(config.host, listener)).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Says when it is ready, and takes a signal as a wish to stop, not as a failure."""

    def __init__(self, settings: uvicorn.Config, address: str) -> None:
        super().__init__(settings)
        self.address = address
        # uvicorn raises each signal again once it has stopped, so that the process ends by it. Ours then
        # finds these handlers and ends with status 0.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"ttsorch reference server on {self.address}", flush=True)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.should_exit = True


def _is_failure(record: logging.LogRecord) -> bool:
    """A download that the grace cut short is none, though uvicorn logs it with a traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _lower_a_clients_fault(record: logging.LogRecord) -> bool:
    """uvicorn warns of what arrives and is no HTTP. Anybody can send that: it is worth a line, and nobody's
    alarm. Who asks for a web socket is served without one, and has a line in the access log."""
    if record.funcName == "_unsupported_upgrade_warning":
        return False
    if record.module.endswith("_impl") and record.levelno == logging.WARNING:
        record.levelno, record.levelname = logging.INFO, "INFO"
    return True


def _listening_socket(config: Config) -> socket.socket:
    """Bound before anything else is opened: a second server must not touch the first one's files."""
    try:
        family = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((config.host, config.port), family=family, backlog=2048)
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {config.host}, port {config.port}: {_reason(error)}."
            " Is another server running there? PORT chooses another port."
        ) from error
    # Connections inherit it. asyncio would set it on each by itself, but not if their listener was made
    # without a protocol number, as this one was; and without it, an answer's last bytes wait up to 40 ms for
    # the client to confirm the first ones.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _reason(error: OSError) -> str:
    # A failed look-up has numbers of its own; the sentence of a failed bind repeats the address.
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def _address(host: str, listener: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
