"""A request put right into an application, without a server: its answer, and how to ask again and again.

No parsing of HTTP and no sockets, whose costs both sides of a comparison would share: the strictest way to
look at what an adapter adds.
"""

import io
import sys
from typing import Any

from benchmarks.world import TOKEN

#: What a browser or an HTTP client sends without being asked.
HEADERS = (
    ("host", "127.0.0.1:8000"),
    ("accept", "*/*"),
    ("accept-encoding", "gzip, deflate"),
    ("connection", "keep-alive"),
    ("user-agent", "benchmark/1.0"),
    ("authorization", f"Bearer {TOKEN}"),
)


class AsgiCaller:
    """Asks an ASGI application for one path."""

    def __init__(self, app: Any, path: str) -> None:
        self._app = app
        self._scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in HEADERS],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
        }
        self._messages: list[Any] = []

    async def ask(self) -> bytes:
        """The body of the answer, whatever its status."""
        self._messages = []
        await self._app({**self._scope, "state": {}}, self._receive, self._send)
        return b"".join(message.get("body", b"") for message in self._messages)

    async def _receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Any) -> None:
        self._messages.append(message)


class WsgiCaller:
    """Asks a WSGI application for one path."""

    def __init__(self, app: Any, path: str) -> None:
        self._app = app
        self._environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "REQUEST_URI": path,
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS},
        }

    def ask(self) -> bytes:
        """The body of the answer, whatever its status."""
        chunks = self._app(dict(self._environ), lambda status, headers, exc_info=None: None)
        try:
            return b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()

    def repeat(self, calls: int) -> None:
        """One after the other."""
        for _ in range(calls):
            self.ask()
