"""HTTP as it is on the wire: nothing is normalised, nothing followed, nothing retried."""

import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection

#: In seconds; generous, because tests share their machine.
PATIENCE = 30.0

PLAIN_PAGE = b"a page of the host's own"

#: What a server adds, and not the contract.
_OF_THE_SERVER = ("date", "server", "connection", "keep-alive")


@dataclass(frozen=True)
class Answer:
    """What came back. ``headers`` are those that the contract may have sent, in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> dict[str, object]:
        parsed = json.loads(self.content)
        assert isinstance(parsed, dict)
        return parsed


@dataclass(frozen=True)
class Client:
    """Who talks to ``port`` on this machine, as ``token``."""

    port: int
    prefix: str = ""
    token: str | None = "ann"

    def ask(
        self,
        method: str,
        target: str,
        *,
        body: bytes | Iterable[bytes] | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Answer:
        """One exchange over a connection of its own. A body that comes in pieces is sent in chunks."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.putrequest(method, self.prefix + target, skip_accept_encoding=True)
            for name, value in self._headers(body, headers):
                connection.putheader(name, value)
            if body is None or isinstance(body, bytes):
                connection.endheaders(body)
            else:
                connection.endheaders(body, encode_chunked=True)
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            ours = {name: received[name] for name in received if name not in _OF_THE_SERVER}
            return Answer(response.status, ours, response.read())
        finally:
            connection.close()

    def _headers(
        self, body: bytes | Iterable[bytes] | None, headers: Iterable[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        sent = list(headers)
        if self.token is not None:
            sent.append(("Authorization", f"Bearer {self.token}"))
        if isinstance(body, bytes):
            sent.append(("Content-Length", str(len(body))))
        elif body is not None:
            sent.append(("Transfer-Encoding", "chunked"))
        return sent

    def get(self, target: str, *headers: tuple[str, str]) -> Answer:
        return self.ask("GET", target, headers=headers)

    def post(self, target: str, send: object, *headers: tuple[str, str]) -> Answer:
        return self.ask("POST", target, body=json.dumps(send).encode(), headers=headers)

    def begin(self, method: str, target: str, headers: Mapping[str, str]) -> socket.socket:
        """A connection on which the head of a request was sent, and no more."""
        lines = [f"{method} {self.prefix}{target} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Authorization: Bearer {self.token}", "", ""]
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        connection.sendall("\r\n".join(lines).encode())
        return connection
