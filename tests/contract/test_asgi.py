"""The ASGI adapter: it translates, streams both ways, stops when nobody listens, and decides nothing."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.contract.world import VOICE, World, a_world
from ttsorch.adapters import asgi
from ttsorch.adapters.asgi import AsgiApp, Authenticate, Message, Scope, asgi_app
from ttsorch.models import BlobStream
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.testing.fakes import FakeJobProvider
from ttsorch.testing.speech import tone_wav

pytestmark = pytest.mark.anyio


def _owner(scope: Scope) -> str | None:
    headers = scope["headers"]
    assert isinstance(headers, list)
    return dict(headers).get(b"authorization", b"").decode().removeprefix("Bearer ") or None


async def _owner_later(scope: Scope) -> str | None:
    await anyio.lowlevel.checkpoint()
    return _owner(scope)


def _client(app: AsgiApp | Starlette, root_path: str = "") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, root_path=root_path)
    return httpx.AsyncClient(
        transport=transport, base_url="http://test", headers={"authorization": "Bearer ann"}
    )


@pytest.mark.parametrize("authenticate", [_owner, _owner_later])
async def test_a_job_goes_all_the_way_through_asgi(authenticate: Authenticate) -> None:
    """Generate, poll, redirect, audio; with a plain and with an async authenticate."""
    async with a_world() as world, _client(asgi_app(world.handler, authenticate)) as client:
        accepted = await client.post("/api/generate", json={"voice_id": VOICE, "text": "Hello"})
        task = f"/api/tasks/{accepted.json()['task_id']}"
        while (polled := (await client.get(task)).json())["status"] != "completed":
            pass
        audio = await client.get(polled["result"]["audio_url"], follow_redirects=True)
        assert (audio.status_code, audio.content) == (200, tone_wav())
        assert len(audio.history) == 1
        nobody = await client.get(task, headers={"authorization": ""})
        assert nobody.json()["detail"] == "Missing authorization header"


@pytest.mark.parametrize(
    ("mount", "prefix"), [("/api", ""), ("", ""), ("/tts", "/tts"), ("/a b/api", "/a%20b")]
)
async def test_it_can_be_mounted_anywhere(mount: str, prefix: str) -> None:
    """At /api it is the contract itself, elsewhere it is below; redirects stay below too."""
    async with a_world() as world:
        _, generation_id = await world.finish()
        app = Starlette(routes=[Mount(mount, asgi_app(world.handler, _owner))])
        async with _client(app) as client:
            assert (await client.get(f"{prefix}/api/health")).json() == {"ok": True}
            assert (await client.get(f"{prefix}/api/nothing")).json()["code"] == "unknown_path"
            audio = await client.get(f"{prefix}/api/generations/{generation_id}/audio")
            assert audio.headers["location"].startswith(f"{prefix}/api/media/")
            assert (await client.get(audio.headers["location"])).status_code == 200


async def test_a_proxys_prefix_is_part_of_the_root() -> None:
    """uvicorn --root-path: the prefix is in root_path and in the path."""
    async with a_world() as world, _client(asgi_app(world.handler, _owner), "/proxy") as client:
        assert (await client.get("/proxy/api/health")).json() == {"ok": True}


async def test_a_head_has_no_body_but_the_full_length() -> None:
    """The server must not count the missing bytes."""
    async with a_world() as world:
        _, generation_id = await world.finish()
        link = await world.audio_link(generation_id)
        async with _client(asgi_app(world.handler, _owner)) as client:
            head = await client.head(link)
            assert (head.content, head.headers["content-length"]) == (b"", str(len(tone_wav())))


async def test_repeated_headers_are_joined() -> None:
    """RFC 9110, 5.3: two keys are not one valid key."""
    async with a_world() as world, _client(asgi_app(world.handler, _owner)) as client:
        answer = await client.post(
            "/api/generate",
            json={"voice_id": VOICE, "text": "Hello"},
            headers=[("Idempotency-Key", "one"), ("Idempotency-Key", "two")],
        )
        assert answer.json()["code"] == "idempotency_key_invalid"


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_anything_but_http_is_refused(kind: str) -> None:
    """As the ASGI specification wants it: by raising."""
    async with a_world() as world:
        with pytest.raises(ValueError, match=kind):
            await asgi_app(world.handler, _owner)({"type": kind}, _never, _unsent)


# --- the raw protocol ---------------------------------------------------------------------------------


def _scope(method: str, path: str, query: str = "") -> Scope:
    headers = [(b"authorization", b"Bearer ann")]
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": headers,
    }


async def _never() -> Message:
    await anyio.sleep_forever()
    raise AssertionError("unreachable")


async def _unsent(message: Message) -> None:
    raise AssertionError(message)


async def test_a_body_may_come_in_pieces() -> None:
    """Each http.request is one piece; more_body says whether another follows."""
    body = json.dumps({"voice_id": VOICE, "text": "Hello"}).encode()
    pieces = [body[:5], b"", body[5:]]
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": at < 2}
        for at, piece in enumerate(pieces)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async with a_world() as world:
        await asgi_app(world.handler, _owner)(_scope("POST", "/api/generate"), receive, send)
        assert sent[0]["status"] == 200


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_not_answered() -> None:
    """Nobody is there; nothing is written, and nothing is raised."""
    messages: list[Message] = [
        {"type": "http.request", "body": b'{"voice_id": ', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async with a_world() as world:
        await asgi_app(world.handler, _owner)(_scope("POST", "/api/generate"), receive, _unsent)
        await world.assert_nothing_written()


async def _linked(world: World) -> Scope:
    _, generation_id = await world.finish()
    path, _, query = (await world.audio_link(generation_id)).partition("?")
    return _scope("GET", path, query)


class WatchedBlobs(MemoryBlobStore):
    """Tells when a blob that was opened is closed again."""

    def __init__(self) -> None:
        super().__init__()
        self.open_now = 0

    @asynccontextmanager
    async def open(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[BlobStream]:
        self.open_now += 1
        try:
            async with super().open(key, start=start, end=end) as blob:
                yield blob
        finally:
            self.open_now -= 1


async def test_streaming_stops_when_the_client_leaves() -> None:
    """A server may drop silently what we send to who has left; the blob is closed all the same."""
    blobs = WatchedBlobs()
    async with a_world(FakeJobProvider(audio=tone_wav(60)), blobs=blobs) as world:
        scope = await _linked(world)
        left = anyio.Event()
        sent: list[bytes] = []

        async def receive() -> Message:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            body = message.get("body", b"")
            assert isinstance(body, bytes)
            if body:
                assert blobs.open_now == 1
                sent.append(body)
                left.set()
                await anyio.sleep_forever()

        with anyio.fail_after(5):
            await asgi_app(world.handler, _owner)(scope, receive, send)
        assert len(sent) == 1
        assert len(sent[0]) < len(tone_wav(60))
        assert blobs.open_now == 0


async def test_a_client_that_stops_reading_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """It never says that it left; the blob is closed, and the body isn't passed off as whole."""
    monkeypatch.setattr(asgi, "_SEND_SECONDS", 0.05)
    blobs = WatchedBlobs()
    async with a_world(blobs=blobs) as world:
        scope = await _linked(world)
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)
            if message["type"] == "http.response.body":
                assert blobs.open_now == 1
                await anyio.sleep_forever()

        with anyio.fail_after(5):
            await asgi_app(world.handler, _owner)(scope, _never, send)
        assert [message.get("more_body") for message in sent] == [None, True]
        assert blobs.open_now == 0
