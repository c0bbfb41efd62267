"""A small world that speaks the contract: real memory stores, a scripted provider, the handler on top."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import anyio

from tests.contract.documented import assert_documented
from ttsorch.contract import ContractHandler, Cors, HttpRequest
from ttsorch.models import NO_LIMITS, Job, Limits, Policy, Voice, VoiceSource
from ttsorch.orchestrator import Orchestrator
from ttsorch.protocols import Provider
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider
from ttsorch.testing.speech import a_voice, tone_wav

VOICE = a_voice().id
SIGNING_KEY = b"0123456789abcdef0123456789abcdef"
#: What a form of R14 and R15 sends, beside the voice's id; and one of R16 and R17.
A_CLONE = {"name": "Vera", "language": "English", "transcript": "These are my words."}
A_DESIGN = {"text": "Hear me.", "language": "English", "instruct": "A calm voice."}
MISSING_ID = "00000000-0000-4000-8000-000000000000"

Fake = FakeJobProvider | FakeDirectProvider
Store = MemoryTaskStore | SqliteTaskStore


@dataclass(frozen=True)
class Answer:
    """A response with its body read to the end."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> dict[str, object]:
        assert self.headers["content-type"] == "application/json"
        parsed = json.loads(self.content)
        assert isinstance(parsed, dict)
        return parsed

    def only(self, key: str) -> dict[str, object]:
        """The one element of the list at ``key``."""
        elements = self.json[key]
        assert isinstance(elements, list)
        (element,) = elements
        assert isinstance(element, dict)
        return element

    @property
    def detail(self) -> object:
        """The one sentence of an error, after a look at the rest of its shape (C2)."""
        body = self.json
        wait = self.headers.get("retry-after")
        expected = {"detail", "code", "category", "request_id"}
        assert body.keys() == expected | ({"retry_after_seconds"} if wait else set())
        assert wait is None or body["retry_after_seconds"] == int(wait)
        assert body["request_id"] == self.headers["x-request-id"]
        assert isinstance(body["detail"], str)
        return body["detail"]


@dataclass
class World:
    """Everything a test may look at. Owners are told apart by the bearer token, which is their name."""

    orchestrator: Orchestrator
    handler: ContractHandler
    store: Store
    blobs: MemoryBlobStore
    clock: ManualClock
    provider: Fake
    asked: list[str] = field(default_factory=list)

    async def ask(
        self,
        method: str,
        target: str,
        *,
        owner: str | None = "ann",
        send: object = None,
        body: bytes | None = None,
        drip: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        root: str = "",
        scheme: str = "http",
        peer: str | None = None,
    ) -> Answer:
        """One exchange. ``send`` is sent as JSON, ``body`` as it is, ``drip`` without ever an end."""
        parts = urlsplit(target)
        content = body if body is not None else b"" if send is None else json.dumps(send).encode()
        sent = dict(headers or {})
        if owner is not None:
            sent.setdefault("authorization", f"Bearer {owner}")

        async def authenticate() -> str | None:
            self.asked.append(target)
            return owner

        response = await self.handler.handle(
            HttpRequest(
                method=method,
                path=parts.path,
                query=parts.query,
                headers=sent,
                body=in_chunks(content) if drip is None else without_end(drip),
                authenticate=authenticate,
                root=root,
                scheme=scheme,
                peer=peer,
            )
        )
        if isinstance(response.body, bytes):
            received = response.body
        else:
            received = b"".join([chunk async for chunk in response.body])
        assert_documented(method, parts.path, response.status, response.headers, received)
        return Answer(response.status, response.headers, received)

    async def generate(
        self, text: str = "Hello, world.", *, owner: str = "ann", **headers: str
    ) -> tuple[str, str]:
        """Start a job; the ids of its task and its generation."""
        answer = await self.ask(
            "POST",
            "/api/generate",
            owner=owner,
            send={"voice_id": VOICE, "text": text},
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        assert answer.status == 200, answer.content
        return str(answer.json["task_id"]), str(answer.json["generation_id"])

    async def poll(self, task_id: str, *, owner: str = "ann") -> dict[str, object]:
        """The task as one poll shows it."""
        answer = await self.ask("GET", f"/api/tasks/{task_id}", owner=owner)
        assert answer.status == 200, answer.content
        return answer.json

    async def finish(self, text: str = "Hello, world.", *, owner: str = "ann") -> tuple[str, str]:
        """Start a job and poll it to its end."""
        task_id, generation_id = await self.generate(text, owner=owner)
        for _ in range(10):
            if (await self.poll(task_id, owner=owner))["status"] == "completed":
                return task_id, generation_id
        raise AssertionError("the job did not end")

    async def audio_link(self, generation_id: str, query: str = "") -> str:
        """The signed URL of a generation's audio."""
        answer = await self.ask("GET", f"/api/generations/{generation_id}/audio{query}")
        assert answer.status == 302, answer.content
        return answer.headers["location"]

    async def jobs(self, owner: str = "ann") -> list[Job]:
        return list(await self.store.list_tasks(owner))

    async def assert_nothing_written(self) -> None:
        """No row of any owner, no blob, no call to the provider."""
        for owner in ("ann", "bob"):
            assert await self.jobs(owner) == []
            assert (await self.store.list_generations(owner)).total == 0
        assert [blob async for blob in self.blobs.list("")] == []
        assert self.provider.ledger.submits == 0

    async def upload(self, audio: bytes, *, owner: str = "ann") -> str:
        """Upload a recording for a new voice; the voice's id."""
        given = await self.ask("POST", "/api/clone/upload-url", owner=owner, send=A_CLONE)
        assert given.status == 200, given.content
        link = str(given.json["upload_url"])
        put = await self.ask("PUT", link, owner=None, body=audio)
        assert (put.status, put.json) == (200, {"ok": True})
        return str(given.json["voice_id"])

    async def clone(self, audio: bytes | None = None, *, owner: str = "ann") -> str:
        """Make a voice of a recording; its id."""
        voice_id = await self.upload(audio or tone_wav(), owner=owner)
        send = {**A_CLONE, "voice_id": voice_id}
        made = await self.ask("POST", "/api/clone/finalize", owner=owner, send=send)
        assert made.status == 200, made.content
        return voice_id

    async def preview(self, *, owner: str = "ann", **fields: str) -> str:
        """Start the preview of a designed voice; the id of its task."""
        answer = await self.ask(
            "POST", "/api/voices/design/preview", owner=owner, send={**A_DESIGN, **fields}
        )
        assert answer.status == 200, answer.content
        return str(answer.json["task_id"])

    async def previewed(self, *, owner: str = "ann") -> str:
        """A preview that is finished; the id of its task."""
        task_id = await self.preview(owner=owner)
        for _ in range(10):
            if (await self.poll(task_id, owner=owner))["status"] == "completed":
                return task_id
        raise AssertionError("the preview did not end")

    async def add_voice(self, voice_id: str, name: str, *, owner: str = "ann") -> None:
        voice = Voice(
            id=voice_id,
            name=name,
            tts_provider=self.provider.name,
            owner=owner,
            source=VoiceSource.UPLOADED,
            created_at=self.clock(),
        )
        assert await self.store.add_voice(voice)
        self.clock.advance(1)


async def in_chunks(content: bytes, size: int = 65536) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def without_end(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content
    await anyio.sleep_forever()


@asynccontextmanager
async def a_world(
    provider: Fake | None = None,
    *,
    limits: Limits = NO_LIMITS,
    cors: Cors | None = None,
    background: bool = False,
    with_voices: bool = True,
    blobs: MemoryBlobStore | None = None,
    trusted_proxies: Sequence[str] = (),
    database: Path | None = None,
    also: Sequence[Provider] = (),
    answer_wait: float = 0.0,
) -> AsyncIterator[World]:
    """``database`` is the file of a real database; without it, rows are kept in memory. The clock stands
    still, so that the lease of a worker that crashed would not run out within ``answer_wait`` (seconds)."""
    clock = ManualClock()
    blobs = blobs or MemoryBlobStore(clock=clock)
    provider = provider or FakeJobProvider()
    async with AsyncExitStack() as stack:
        store: Store = MemoryTaskStore(clock=clock)
        if database is not None:
            store = await SqliteTaskStore.open(database, clock=clock)
        stack.push_async_callback(store.aclose)
        orchestrator = await stack.enter_async_context(
            Orchestrator(
                provider=provider,
                also=also,
                tasks=store,
                voices=store if with_voices else None,
                blobs=blobs,
                background=background,
                limits=limits,
                policy=Policy(answer_wait=answer_wait),
            )
        )
        handler = ContractHandler(
            orchestrator, signing_key=SIGNING_KEY, cors=cors, trusted_proxies=trusted_proxies
        )
        yield World(orchestrator, handler, store, blobs, clock, provider)
