"""What a hostile or broken client sends through the text fields: it is kept exactly as it was sent, or it is
a contract error and nothing was written. Never a 5xx, and the log has nothing to say about it.

One world takes a whole corpus: what one string breaks may only show with the next.
"""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import h11
import pytest

from tests.contract.world import A_CLONE, A_DESIGN, MISSING_ID, VOICE, Answer, World, a_world
from ttsorch.capabilities import is_blank
from ttsorch.contract import HttpRequest
from ttsorch.contract.query import cursor
from ttsorch.testing.fake_voices import CASTING, FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.naughty_strings import NAUGHTY_STRINGS, UNSTORABLE_STRINGS
from ttsorch.testing.speech import tone_wav

pytestmark = pytest.mark.anyio

STRINGS = (*NAUGHTY_STRINGS, *UNSTORABLE_STRINGS)
A_FORM = {"name": "Vera", **A_DESIGN}
BOUNDARY = "a-boundary"
WAV = tone_wav(0.01)
REFUSALS = (400, 403, 404, 409)


@pytest.fixture
def database(anyio_backend: str, tmp_path: Path) -> Path | None:
    """Where the rows are kept: what is accepted must come back from a real database and from memory. One
    event loop each is enough for strings."""
    return tmp_path / "tasks.db" if anyio_backend == "asyncio" else None


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A client's fault is nobody's business in the log: nothing above INFO."""
    caplog.set_level(logging.DEBUG)
    yield
    assert [each.getMessage() for each in caplog.records if each.levelno > logging.INFO] == []


@asynccontextmanager
async def _caster(database: Path | None) -> AsyncIterator[World]:
    # Its clones cost no call: a corpus makes a thousand of them.
    provider = FakeDesigningJobProvider()
    async with a_world(provider, database=database, trusted_proxies=("*",)) as world:
        yield world


async def ask(
    world: World,
    method: str,
    path: str,
    *,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """One exchange with the path and the headers exactly as given: no URL is parsed on the way."""

    async def content() -> AsyncGenerator[bytes, None]:
        yield body

    async def authenticate() -> str | None:
        return "ann"

    response = await world.handler.handle(
        HttpRequest(method, path, query, dict(headers or {}), content(), authenticate)
    )
    # A server refuses to send headers that are none; it should never have to.
    h11.Response(
        status_code=response.status,
        headers=[(n.encode(), v.encode("latin-1")) for n, v in response.headers.items()],
    )
    if isinstance(response.body, bytes):
        return Answer(response.status, response.headers, response.body)
    return Answer(response.status, response.headers, b"".join([c async for c in response.body]))


async def written(world: World) -> tuple[object, ...]:
    """Everything that a request can leave behind, counted."""
    newest = [job.task for job in await world.store.list_tasks("ann", limit=1)]
    history = await world.store.list_generations("ann", per_page=1)
    voices = await world.store.list_voices("ann", per_page=1)
    # Not listed: that takes a turn of the event loop for each of a thousand.
    blobs = len(world.blobs._blobs)
    return newest, history.total, voices.total, blobs, world.provider.ledger.submits


def refused(answer: Answer, sent: str) -> bool:
    """Whether it was; in the contract's shape then, with one sentence and not what was sent."""
    assert answer.status in (200, *REFUSALS), (answer, sent[:50])
    if answer.status == 200:
        return False
    detail = answer.detail
    assert isinstance(detail, str)
    assert detail
    assert "\n" not in detail
    assert len(detail) < 200
    return True


def trimmed(text: str) -> str:
    return "" if is_blank(text) else text.strip()


# --- JSON fields --------------------------------------------------------------------------------------

Kept = Callable[[World, Answer, str], Awaitable[object]]


@dataclass(frozen=True)
class Form:
    """A row that takes a JSON body. ``kept`` finds what became of a field; ``as_kept`` says how it should
    be kept, and ``default`` what a blank one counts as, None where it is refused."""

    path: str
    fields: Mapping[str, str]
    kept: Kept
    as_kept: Callable[[str], str] = trimmed
    defaults: Mapping[str, str | None] = field(default_factory=dict)


async def _in_the_history(world: World, answer: Answer, name: str) -> object:
    page = await world.ask("GET", "/api/generations?per_page=1")
    return page.only("generations")[name]


async def _in_the_voices(world: World, answer: Answer, name: str) -> object:
    listing = await world.ask("GET", "/api/voices?per_page=1")
    return listing.only("voices")[_VOICE_KEYS.get(name, name)]


_VOICE_KEYS = {
    "transcript": "reference_transcript",
    "text": "reference_transcript",
    "instruct": "description",
}


async def _in_the_preview(world: World, answer: Answer, name: str) -> object:
    job = await world.store.get("ann", str(answer.json["task_id"]))
    assert job is not None
    return getattr(job.task.voice, _VOICE_KEYS.get(name, name))


async def _nowhere(world: World, answer: Answer, name: str) -> object:
    return None


FORMS = {
    "R3": Form(
        "/api/generate",
        {"text": "Hello.", "language": "English"},
        _in_the_history,
        as_kept=lambda text: text,
        defaults={"language": "Auto"},
    ),
    "R14": Form("/api/clone/upload-url", A_CLONE, _nowhere, as_kept=lambda text: ""),
    "R15": Form(
        "/api/clone/finalize",
        {**A_CLONE, "description": "Of a friend."},
        _in_the_voices,
        defaults={"description": None},
    ),
    "R16": Form(
        "/api/voices/design/preview",
        {**A_DESIGN, "name": "Vera"},
        _in_the_preview,
        defaults={"name": "Designed voice"},
    ),
}


async def _fresh_id(world: World, row: str, last: str) -> dict[str, str]:
    """What a request of this row needs beside its texts."""
    if row == "R3":
        return {"voice_id": VOICE}
    if row == "R15":
        return {"voice_id": last or await world.upload(WAV)}
    return {}


@pytest.mark.parametrize("row", FORMS)
async def test_a_text_is_kept_as_it_was_sent_or_refused(database: Path | None, row: str) -> None:
    """Every string through every field of every form."""
    form = FORMS[row]
    async with _caster(database) as world:
        ids: dict[str, str] = {}
        for name in form.fields:
            for sent in STRINGS:
                ids = await _fresh_id(world, row, ids.get("voice_id", ""))
                before = await written(world)
                world.clock.advance(1)
                body = json.dumps({**form.fields, **ids, name: sent}).encode()
                answer = await ask(world, "POST", form.path, body=body)
                if refused(answer, sent):
                    assert await written(world) == before, (name, sent[:50])
                elif form.kept is _nowhere:
                    assert await written(world) == before
                else:
                    wanted = form.as_kept(sent)
                    if is_blank(sent):
                        assert name in form.defaults, (name, sent)
                        wanted = form.defaults[name]  # type: ignore[assignment]
                    assert await form.kept(world, answer, name) == wanted, (name, sent[:50])
                    ids = {}
                if sent in UNSTORABLE_STRINGS:
                    assert answer.status == (
                        200 if is_blank(sent) and name in form.defaults else 400
                    )


async def test_a_language_is_no_place_for_a_novel(database: Path | None) -> None:
    """A provider that takes any language takes none of a thousand characters."""
    async with _caster(database) as world:
        for row in ("R3", "R16"):
            fields = {**FORMS[row].fields, "voice_id": VOICE, "language": "x" * 101}
            answer = await ask(world, "POST", FORMS[row].path, body=json.dumps(fields).encode())
            assert (answer.status, answer.json["code"]) == (400, "language_unsupported")
        await world.assert_nothing_written()


async def test_a_text_in_the_history_can_be_said_again_and_found(database: Path | None) -> None:
    """R10: the same text, and a URL that spells it; R7: its own search finds it; R4: a preview of it."""
    async with _caster(database) as world:
        for sent in STRINGS:
            world.clock.advance(1)
            body = json.dumps({"voice_id": VOICE, "text": sent}).encode()
            if refused(made := await ask(world, "POST", "/api/generate", body=body), sent):
                continue
            path = f"/api/generations/{made.json['generation_id']}/regenerate"
            again = await ask(world, "POST", path)
            assert again.json["text"] == sent
            url = str(again.json["redirect_url"])
            assert parse_qs(urlsplit(url).query, strict_parsing=True)["text"] == [sent]
            found = await ask(world, "GET", "/api/generations", query=f"search={quote(sent)}")
            assert str(made.json["generation_id"]) in found.content.decode(), sent[:50]
            shown = await ask(world, "GET", f"/api/tasks/{made.json['task_id']}")
            assert shown.status == 200
            assert len(str(shown.json["text_preview"])) <= 100


# --- R17, a multipart form ----------------------------------------------------------------------------


def _part(name: str, content: bytes, more: str = "") -> bytes:
    # As bytes that a broken client may send: no escaping, and surrogates as they are.
    head = f'Content-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return b"--a-boundary\r\n" + head.encode("utf-8", "surrogatepass") + content + b"\r\n"


async def _save(world: World, *parts: bytes) -> Answer:
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    body = b"".join(parts) + b"--a-boundary--\r\n"
    return await ask(world, "POST", "/api/voices/design", headers=headers, body=body)


def _parts(fields: Mapping[str, str]) -> list[bytes]:
    return [_part(name, text.encode("utf-8", "surrogatepass")) for name, text in fields.items()]


def _a_recording(number: int) -> bytes:
    """Each is another voice: the same one twice is the same voice."""
    return _part("audio", tone_wav(0.01 + number / 8000), '; filename="a.wav"')


async def test_a_form_is_kept_as_it_was_sent_or_refused(database: Path | None) -> None:
    """R17: every string through every field; a voice of the same words and audio is the same voice."""
    async with _caster(database) as world:
        for number, sent in enumerate(STRINGS):
            for name in (*A_FORM, "task_id"):
                before = await written(world)
                world.clock.advance(1)
                fields = {**A_FORM, name: sent}
                answer = await _save(world, *_parts(fields), _a_recording(number))
                if refused(answer, sent):
                    assert await written(world) == before, (name, sent[:50])
                elif name != "task_id":
                    assert await _in_the_voices(world, answer, name) == trimmed(sent)


async def test_a_form_that_makes_no_voice_leaves_no_recording(database: Path | None) -> None:
    """R17: what is wrong with the words is found before the audio is kept."""
    provider = FakeCastingProvider(capabilities=replace(CASTING, languages=("English",)))
    async with a_world(provider, database=database) as world:
        answer = await _save(world, *_parts({**A_FORM, "language": "Elvish"}), _a_recording(1))
        assert (answer.status, answer.json["code"]) == (400, "language_unsupported")
        await world.assert_nothing_written()


async def test_no_name_of_a_part_or_a_file_does_any_harm(database: Path | None) -> None:
    """A name is looked up and never used; a header that it breaks is refused."""
    async with _caster(database) as world:
        for number, sent in enumerate(STRINGS):
            for strange in (
                _part(sent, b"x"),
                _part("audio", b"x", f'; filename="{sent}"'),
                _part("audio", b"x", f"; filename*={sent}"),
                _part("audio", b"x", f"; {sent}=x"),
            ):
                before = await written(world)
                answer = await _save(world, strange, *_parts(A_FORM), _a_recording(number))
                if refused(answer, sent):
                    assert await written(world) == before, sent[:50]


# --- what is in a URL ---------------------------------------------------------------------------------

PARAMETERS = ("search", "status", "source", "type", "before", "page", "per_page", "limit", "x")
LISTINGS = ("/api/generations", "/api/voices", "/api/tasks")


def _spelled(text: str) -> tuple[str, str]:
    """In a query: percent-encoded, and as it is, which only a broken client or a strange adapter does."""
    return quote(text.encode("utf-8", "surrogatepass"), safe=""), text


async def test_no_parameter_breaks_a_listing(database: Path | None) -> None:
    """C8: junk falls back to the default; a search for it is a search like any other."""
    async with _caster(database) as world:
        await world.generate()
        for path in LISTINGS:
            for sent in STRINGS:
                for value in _spelled(sent):
                    query = "&".join(f"{name}={value}" for name in PARAMETERS)
                    for one in (query, *(f"{name}={value}" for name in PARAMETERS[:5]), value):
                        answer = await ask(world, "GET", path, query=one)
                        assert answer.status == 200, (path, one[:50])
                        assert answer.json


def test_a_cursor_asks_the_database_for_ids_only() -> None:
    """PostgreSQL can't even be asked for a NUL; the time alone is a cursor too."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    for sent in STRINGS:
        assert cursor({"before": f"2026-01-02T03:04:05Z_{sent}"}) == (moment, "")
    row = cursor({"before": f"2026-01-02T03:04:05Z_{MISSING_ID}"})
    assert row == (moment, MISSING_ID)


IDS = (
    ("GET", "/api/tasks/{}"),
    ("DELETE", "/api/tasks/{}"),
    ("POST", "/api/tasks/{}/cancel"),
    ("GET", "/api/generations/{}/audio"),
    ("DELETE", "/api/generations/{}"),
    ("POST", "/api/generations/{}/regenerate"),
    ("GET", "/api/voices/{}/preview"),
    ("DELETE", "/api/voices/{}"),
    ("GET", "/api/media/{}"),
    ("PUT", "/api/uploads/{}"),
)


async def test_no_id_is_anything_but_missing(database: Path | None) -> None:
    """C7: 404, or 403 where a signature is asked for; nothing changes."""
    async with _caster(database) as world:
        await world.clone()
        task_id, _ = await world.generate()
        before = await written(world)
        near = (task_id + "\n", task_id[:-1], "{" + task_id + "}", task_id.replace("-", ""))
        for method, path in IDS:
            for sent in (*STRINGS, *near, MISSING_ID):
                for query in ("", "expires=1&signature=x", f"expires={sent}&signature={sent}"):
                    answer = await ask(world, method, path.format(sent), query=query)
                    assert answer.status in (403, 404), (method, path, sent[:50])
                    assert refused(answer, sent)
        assert await written(world) == before


# --- headers ------------------------------------------------------------------------------------------

#: Together, since they don't get into each other's way; a range is only read without the others.
HEADERS = (
    ("range",),
    ("if-range", "if-none-match", "origin", "x-request-id", "x-forwarded-for", "content-length"),
    ("host", "x-forwarded-proto", "content-type", "authorization", "accept", "expect", "cookie"),
    ("x-forwarded-host", "idempotency-key", "access-control-request-headers"),
)
#: What is hostile in a header only.
VALUES = (
    *(
        "bytes=0-0,1-1",
        "bytes=-0",
        "bytes=9-1",
        f"bytes={'9' * 5000}-",
        "bytes=٠-١",
        "bytes=0-" * 99,
    ),
    *(
        '"',
        'W/"',
        "*",
        "*, *",
        ",,,",
        "null",
        "https://[",
        "a:b:c",
        "[::1",
        "[::1]:99999",
        "a@b",
        ":80",
    ),
    *("x" * 127 + " y", "x" * 128 + " ", " x ", "http", "HTTPS", "ftp", "-5", "1e9", "5, 5", "0x5"),
    *(
        "multipart/form-data; boundary=" + "b" * 300,
        "a;" * 2000,
        'a; b="' + ";" * 5000,
        "a/b; c*0=d; c*=e",
    ),
)


async def test_no_header_does_any_harm(database: Path | None) -> None:
    """Read, or ignored, or a contract error; what comes back is always a header that can be sent."""
    async with _caster(database) as world:
        _, generation_id = await world.finish()
        link = urlsplit(await world.audio_link(generation_id))
        wav = (await ask(world, "GET", link.path, query=link.query)).content
        for names in HEADERS:
            for sent in (*STRINGS, *VALUES):
                for value in {sent, sent.encode("utf-8", "surrogatepass").decode("latin-1")}:
                    headers = dict.fromkeys(names, value)
                    await _through_every_route(world, headers, link.path, link.query, wav)


async def _through_every_route(
    world: World, headers: Mapping[str, str], path: str, query: str, wav: bytes
) -> None:
    shown = str(headers)[:80]
    heard = await ask(world, "GET", path, query=query, headers=headers)
    assert heard.status in (200, 206, 304, 416), shown
    assert heard.content in wav
    health = await ask(world, "GET", "/api/health", headers=headers)
    assert health.status == 200, shown
    assert health.headers["x-request-id"].isprintable()
    upload = await ask(
        world, "POST", "/api/clone/upload-url", headers=headers, body=json.dumps(A_CLONE).encode()
    )
    assert upload.status == 200, shown
    assert urlsplit(str(upload.json["upload_url"])).path.startswith("/api/uploads/")
    assert "\n" not in str(upload.json["upload_url"])
    before = await written(world)
    body = json.dumps({"voice_id": MISSING_ID, "text": "Hello."}).encode()
    assert refused(await ask(world, "POST", "/api/generate", headers=headers, body=body), shown)
    assert refused(
        await ask(world, "POST", "/api/voices/design", headers=headers, body=b"x"), shown
    )
    assert (await ask(world, "OPTIONS", "/api/generate", headers=headers)).status == 204
    assert await written(world) == before
