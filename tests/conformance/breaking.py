"""Breaks one thing about a right server, on its way in or out."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import anyio

from ttsorch.adapters.asgi import AsgiApp, Message, Receive, Scope, Send


@dataclass
class Exchange:
    """One request and its answer, to be changed. ``nth`` counts the matching ones of a mutant, from 1;
    ``seen`` is what it wants to remember."""

    method: str
    path: str
    query: str
    sent_headers: dict[str, str]
    sent: bytes
    status: int
    headers: dict[str, str]
    content: bytes
    nth: int
    seen: dict[str, Any]

    @property
    def token(self) -> str:
        return self.sent_headers.get("authorization", "")

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    def sent_json(self) -> Any:
        try:
            return json.loads(self.sent)
        except ValueError:
            return None

    def answer(self, status: int, body: object) -> None:
        """Another answer altogether."""
        self.status, self.content = status, json.dumps(body).encode()
        self.headers["content-type"] = "application/json"

    def set(self, **changes: object) -> None:
        """Other values in the JSON body."""
        self.answer(self.status, {**self.json, **changes})

    def drop(self, name: str) -> None:
        """One key less."""
        self.answer(self.status, {key: value for key, value in self.json.items() if key != name})


Change = Callable[[Exchange], None]
Rewrite = Callable[[Scope], None]


@dataclass
class Mutant:
    """A server that does one thing wrong, and the case that has to notice. ``on`` is a method and a pattern
    of the path; ``rewrite`` changes the request before, ``change`` the answer after."""

    does: str
    case: str
    on: str
    change: Change = lambda exchange: None
    rewrite: Rewrite = lambda scope: None
    count: int = 0
    seen: dict[str, Any] = field(default_factory=dict)

    def concerns(self, scope: Scope) -> bool:
        methods, _, pattern = self.on.partition(" ")
        return scope["method"] in methods.split("|") and bool(
            re.fullmatch(pattern, str(scope["path"]))
        )


@dataclass
class Breaking:
    """ASGI middleware with room for one mutant at a time."""

    app: AsgiApp
    mutant: Mutant | None = None
    #: What a mutant raised: then it is broken itself, and what it broke proves nothing.
    failures: list[Exception] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        mutant = self.mutant
        if mutant is None or scope["type"] != "http" or not mutant.concerns(scope):
            await self.app(scope, receive, send)
            return
        mutant.count += 1
        inside = {**scope}
        mutant.rewrite(inside)
        sent = await _whole_body(receive)
        exchange = await self._exchange(inside, sent, mutant)
        try:
            mutant.change(exchange)
        except Exception as error:
            self.failures.append(error)
            raise
        exchange.headers["content-length"] = str(len(exchange.content))
        if scope["method"] == "HEAD" or exchange.status in (204, 304):
            exchange.content = b""
        pairs = [(n.encode(), v.encode("latin-1")) for n, v in exchange.headers.items()]
        await send({"type": "http.response.start", "status": exchange.status, "headers": pairs})
        await send({"type": "http.response.body", "body": exchange.content})

    async def _exchange(self, scope: Scope, sent: bytes, mutant: Mutant) -> Exchange:
        started: dict[str, Any] = {}
        content = bytearray()

        async def catch(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                content.extend(cast(bytes, message.get("body", b"")))

        await self.app(scope, _once(sent), catch)
        return Exchange(
            method=str(scope["method"]),
            path=str(scope["path"]),
            query=cast(bytes, scope["query_string"]).decode(),
            sent_headers=_text(scope["headers"]),
            sent=sent,
            status=started["status"],
            headers=_text(started["headers"]),
            content=bytes(content),
            nth=mutant.count,
            seen=mutant.seen,
        )


def _text(pairs: object) -> dict[str, str]:
    found = cast(list[tuple[bytes, bytes]], pairs)
    return {name.decode().lower(): value.decode("latin-1") for name, value in found}


async def _whole_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += cast(bytes, message.get("body", b""))
        more = bool(message.get("more_body", False))
    return body


def _once(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        # Nobody leaves: the answer is caught whole.
        await anyio.sleep_forever()
        raise AssertionError

    return receive


def in_front(mutant: Mutant) -> Callable[[AsgiApp], AsgiApp]:
    """A server's middleware that breaks this."""
    return lambda app: Breaking(app, mutant)
