"""Asks a server in another process over kept connections, and what that process has used for it."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from benchmarks.in_process import HEADERS


class Connection:
    """One connection to a loopback port, spoken to as cheaply as possible: it shares a core with the
    server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""

    def send(self, path: str) -> None:
        """Ask for ``path``."""
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in HEADERS), "", ""]
        self._socket.sendall("\r\n".join(lines).encode())

    def receive(self) -> bytes:
        """The body of the next answer, which must have a Content-Length."""
        head = self._until_blank_line()
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(self._unread) < length:
            self._receive()
        body, self._unread = self._unread[:length], self._unread[length:]
        return body

    def close(self) -> None:
        self._socket.close()

    def _until_blank_line(self) -> bytes:
        while b"\r\n\r\n" not in self._unread:
            self._receive()
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        return head + b"\r\n"

    def _receive(self) -> None:
        received = self._socket.recv(65536)
        if not received:
            raise ConnectionError("the server closed the connection")
        self._unread += received


class Server:
    """A running ``benchmarks.serving``, seen from outside."""

    def __init__(self, questions: IO[str], answers: IO[str]) -> None:
        self._questions = questions
        self._answers = answers
        self._place = json.loads(answers.readline())
        self.task_ids: list[str] = self._place["task_ids"]

    def client(self, side: str) -> "Client":
        """For ``adapter`` or ``bare``."""
        prefix = self._place["prefix"] if side == "bare" else ""
        return Client(self, self._place[side], prefix)

    def cpu_seconds(self) -> float:
        """What its process has used since it started."""
        self._questions.write("?\n")
        self._questions.flush()
        return float(self._answers.readline())


class Client:
    """As many connections to one application as there are requests at once."""

    def __init__(self, server: Server, port: int, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self._connections = [Connection(port) for _ in server.task_ids]

    def get(self, paths: Sequence[str]) -> list[bytes]:
        """One request over each connection, all at once."""
        for connection, path in zip(self._connections, paths, strict=True):
            connection.send(self._prefix + path)
        return [connection.receive() for connection in self._connections]

    def cost(self, paths: Sequence[str], calls: int) -> float:
        """Seconds of CPU of the server's process for each of about so many requests."""
        turns = -(-calls // len(paths))
        before = self._server.cpu_seconds()
        for _ in range(turns):
            self.get(paths)
        return (self._server.cpu_seconds() - before) / (turns * len(paths))

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


@contextmanager
def serve(framework: str) -> Iterator[Server]:
    """Start the process; it ends with the block."""
    command = [sys.executable, "-m", "benchmarks.serving", framework]
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("pipes were asked for")
        yield Server(process.stdin, process.stdout)
