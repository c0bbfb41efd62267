"""Credentials, signed links, texts and recordings show up nowhere but where they belong.

Everything is done to both vendors that makes a careless client talk: successes, refusals that echo what they
were sent, broken replies, foreign redirects. Then everything that was said is searched.
"""

import base64
import logging
import sqlite3
import traceback
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import pytest

from tests.orchestrator.world import OWNER
from ttsorch.errors import TtsorchError
from ttsorch.models import Job, Policy, SpeechRequest, Voice
from ttsorch.orchestrator import Orchestrator
from ttsorch.protocols import Provider
from ttsorch.providers.modal import ModalProvider
from ttsorch.providers.qwen import QwenProvider
from ttsorch.storage.filesystem import FilesystemBlobStore
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.fake_dashscope import FakeDashScope, fake_dashscope
from ttsorch.testing.fake_modal import FakeModal, fake_modal
from ttsorch.testing.speech import tone_wav
from ttsorch.testing.vendor_server import WireFault

pytestmark = pytest.mark.anyio

API_KEY = "sk-canary-api-key-0123456789"
MODAL_KEY, MODAL_SECRET = "wk-canary-key-0123456789", "ws-canary-secret-0123456789"
TEXT = "canary-text that nobody else may read"
WORDS = "canary-words of the recording"
DESCRIPTION = "canary-description of a voice"
#: Of the middle of the clip, where no WAV header is.
CLIP = tone_wav(4.0, rate=24_000)
CLIP_BYTES = CLIP[3000:3030]
CLIP_BASE64 = base64.b64encode(CLIP)[4000:4040].decode()

CREDENTIALS = (API_KEY, MODAL_KEY, MODAL_SECRET, CLIP_BASE64, repr(CLIP_BYTES)[2:-1])
PRIVATE = (TEXT, WORDS, DESCRIPTION)
POLICY = Policy(lease=2.0, unknown_grace=0.0, finalize_backoff=0.01, max_finalize_attempts=2)


class Listening(logging.Handler):
    """Every log line of every logger, with the exceptions on it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said += [record.getMessage(), repr(record.args)]
        if record.exc_info and record.exc_info[1]:
            self.said.append(told(record.exc_info[1]))


def told(error: BaseException) -> str:
    """All that a crash reporter would keep of an error: its chain, and every object on it by its repr."""
    lines = traceback.TracebackException.from_exception(error, capture_locals=False).format()
    seen: list[str] = ["".join(lines)]
    link: BaseException | None = error
    while link is not None:
        seen += [str(link), repr(link), repr(vars(link))]
        link = link.__cause__ or link.__context__
    return "\n".join(seen)


@dataclass
class Eavesdropper:
    """Collects what was said, and what the vendor's signed links were."""

    heard: list[str] = field(default_factory=list)
    signatures: set[str] = field(default_factory=set)

    def keep(self, *things: object) -> None:
        for each in things:
            self.heard.append(told(each) if isinstance(each, BaseException) else repr(each))
            if isinstance(each, Job) and each.task.error is not None:
                self.heard += [each.task.error.message, str(each.task.error.detail)]

    def check(self) -> None:
        for canary in (*CREDENTIALS, *PRIVATE, *self.signatures):
            assert [each for each in self.heard if canary in each] == [], canary


@pytest.fixture
def listening() -> Iterator[Listening]:
    handler, root = Listening(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(before)
    root.removeHandler(handler)


@asynccontextmanager
async def speaking(provider: Provider, folder: Path) -> AsyncIterator[Orchestrator]:
    store = await SqliteTaskStore.open(folder / "tasks.db")
    blobs = FilesystemBlobStore(folder / "blobs")
    try:
        async with Orchestrator(
            provider=provider,
            tasks=store,
            voices=store,
            blobs=blobs,
            policy=POLICY,
            background=False,
        ) as speech:
            yield speech
    finally:
        await store.aclose()
        await blobs.aclose()
        await provider.aclose()


async def ended(speech: Orchestrator, job: Job) -> Job:
    """Poll and sweep until nothing more becomes of the job, as far as it gets."""
    for _ in range(60):
        if job.task.status.terminal:
            return job
        job = await speech.poll_once(job.task.id, owner=OWNER)
        await speech.sweep_once()
        await anyio.sleep(0.01)
    return await speech.cancel(job.task.id, owner=OWNER)


async def cloned(speech: Orchestrator) -> Voice:
    voice_id = str(uuid.uuid4())
    await speech.upload_clip(voice_id, CLIP, owner=OWNER)
    return await speech.clone_voice(
        voice_id, name="Clone", language="English", transcript=WORDS, owner=OWNER
    )


async def said(speech: Orchestrator, ear: Eavesdropper, voice: Voice) -> None:
    """One job with ``voice``, whatever becomes of it."""
    request = SpeechRequest(text=TEXT, voice=voice, language="English")
    ear.keep(request, voice)
    for pause in await speech.list_pauses():
        await speech.end_pause(pause.provider)
    try:
        job = await speech.submit(request, owner=OWNER)
        ear.keep(job, await ended(speech, job))
    except TtsorchError as error:
        ear.keep(error)


async def designed(speech: Orchestrator, ear: Eavesdropper) -> None:
    try:
        job = await speech.preview_design(
            text=TEXT, description=DESCRIPTION, language="English", owner=OWNER
        )
        job = await ended(speech, job)
        ear.keep(job, await speech.save_design(job.task.id, owner=OWNER))
    except TtsorchError as error:
        ear.keep(error)


def rows(folder: Path) -> dict[str, list[str]]:
    """Every value of every row, by table and column."""
    found: dict[str, list[str]] = {}
    with sqlite3.connect(folder / "tasks.db") as connection:
        connection.row_factory = sqlite3.Row
        for table in ("tasks", "generations", "voices"):
            for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608  # constants
                for column in tuple(row.keys()):
                    found.setdefault(f"{table}.{column}", []).append(str(row[column]))
    connection.close()
    return found


def check_rows(folder: Path, signatures: set[str]) -> None:
    """Users' own words are where users' words are kept; nothing else is anywhere."""
    homes = {
        TEXT: {"generations.text", "voices.reference_transcript", "tasks.voice"},
        WORDS: {"voices.reference_transcript", "tasks.voice"},
        DESCRIPTION: {"voices.description", "tasks.voice"},
    }
    for column, values in rows(folder).items():
        for canary in (*CREDENTIALS, *PRIVATE, *signatures):
            if column not in homes.get(canary, ()):
                assert not any(canary in value for value in values), (column, canary)


def break_modal(modal: FakeModal) -> Iterator[None]:
    """One misfortune after another."""
    switches = modal.switches
    yield
    for endpoint in ("submit", "status", "result", "design"):
        # What an endpoint was never sent, it can't quote.
        sent = TEXT if endpoint in ("submit", "design") else "it"
        for status, words in (
            (500, f"modal-http: internal error: {sent} {MODAL_KEY}"),
            (401, f"modal-http: missing credentials {MODAL_SECRET}"),
            (404, f"modal-http: invalid function call {MODAL_KEY}"),
            (400, '{"detail":"' + f"'{sent[:20]}' is required; {MODAL_SECRET}" + '"}'),
        ):
            switches.platform_error, switches.platform_error_at = (status, words), endpoint
            yield
    switches.platform_error = switches.platform_error_at = None
    for fault in (WireFault(lose_reply=True), WireFault(cut_reply_after=90)):
        for server in (modal.servers.submit, modal.servers.status, modal.servers.result):
            server.faults.append(fault)
            yield
            server.faults.clear()
    switches.design_redirect_to = f"https://elsewhere.example/?token={MODAL_SECRET}"
    yield
    switches.design_redirect_to = None
    switches.design_redirects = 2
    yield


def break_dashscope(dashscope: FakeDashScope) -> Iterator[None]:
    """One misfortune after another."""
    switches = dashscope.switches
    yield
    for status, code in (
        (401, "InvalidApiKey"),
        (400, "InvalidParameter"),
        (400, "DataInspectionFailed"),
        (403, "AccessDenied"),
        (429, "Throttling.AllocationQuota"),
        (500, "InternalError"),
        (500, f"Odd.{API_KEY}"),
        (418, "Odd"),
    ):
        echo = f"{code}: {API_KEY} https://x.example/?Signature=canary {TEXT} {CLIP_BASE64}"
        for _ in range(2):
            switches.fail_next.append((status, code, echo))
        yield
        switches.fail_next.clear()
    for fault in (WireFault(lose_reply=True), WireFault(cut_reply_after=200)):
        dashscope.server.faults.append(fault)
        yield
        dashscope.server.faults.clear()
    switches.results_host = "169.254.169.254"
    yield
    switches.results_host = None
    switches.result_status_once.extend([403, 500, 302])
    yield
    switches.result_truncate.extend([10, 2000])
    yield
    switches.no_url = 1
    yield


async def test_modal_keeps_secrets(tmp_path: Path, listening: Listening) -> None:
    """Nothing of the proxy token, the text, the transcript or the recording in logs, errors, reprs, rows."""
    ear = Eavesdropper()
    async with fake_modal() as modal:
        modal.switches.proxy_auth = (MODAL_KEY, MODAL_SECRET)
        provider = ModalProvider.from_env(modal.environ())
        async with speaking(provider, tmp_path) as speech:
            voice = await cloned(speech)
            for _ in break_modal(modal):
                await said(speech, ear, voice)
                await designed(speech, ear)
            ear.keep(provider, speech)
        assert len(modal.ledger.accepted) > 10
    ear.heard += listening.said
    ear.check()
    check_rows(tmp_path, set())


async def test_qwen_keeps_secrets(tmp_path: Path, listening: Listening) -> None:
    """Nor of the API key and the vendor's signed links, though a link is on the row while it is needed."""
    ear = Eavesdropper()
    async with fake_dashscope(api_key=API_KEY) as dashscope:
        provider = QwenProvider.from_env(dashscope.environ())
        async with speaking(provider, tmp_path) as speech:
            voice = await cloned(speech)
            for _ in break_dashscope(dashscope):
                await said(speech, ear, voice)
                await designed(speech, ear)
                await said(speech, ear, replace(voice, provider_voice_id="canary-unknown"))
            ear.keep(provider, speech)
        links = [request for request in dashscope.server.requests if "Signature" in request.query]
        ear.signatures = {request.query["Signature"] for request in links}
        assert len(ear.signatures) > 2
    ear.heard += listening.said
    ear.check()
    check_rows(tmp_path, ear.signatures)
