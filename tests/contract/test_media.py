"""Signed audio: who may read it, which part, and what a browser is told about it."""

import random
from urllib.parse import urlsplit

import pytest

from tests.contract.world import SIGNING_KEY, Answer, World, a_world
from ttsorch.contract.query import parse_query
from ttsorch.contract.ranges import ByteRange, UnsatisfiableRange, requested_range
from ttsorch.contract.signing import LinkSigner
from ttsorch.errors import ConfigurationError
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.speech import tone_wav

AUDIO = tone_wav()
SIZE = len(AUDIO)
KEY = "0" * 32 + "/11111111-1111-4111-8111-111111111111/1.wav"


async def _link(world: World, query: str = "") -> str:
    _, generation_id = await world.finish("Grüße aus Köln, 5\" & 'mehr'")
    return await world.audio_link(generation_id, query)


async def _get(world: World, link: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.ask("GET", link, owner=None, headers=named)


@pytest.mark.anyio
async def test_a_signed_link_gives_the_audio_to_anybody() -> None:
    """Section 5: no Authorization, the true type and length, and nothing a browser could run."""
    async with a_world() as world:
        answer = await _get(world, await _link(world))
        assert (answer.status, answer.content) == (200, AUDIO)
        headers = answer.headers
        assert headers["content-type"] == "audio/wav"
        assert headers["content-length"] == str(SIZE)
        assert headers["accept-ranges"] == "bytes"
        assert headers["content-disposition"] == 'inline; filename="speech.wav"'
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert headers["cross-origin-resource-policy"] == "cross-origin"
        assert headers["access-control-allow-origin"] == "*"
        assert world.asked.count("/api/media") == 0


@pytest.mark.anyio
async def test_a_stray_authorization_is_not_even_looked_at() -> None:
    """A bad token on a signed link changes nothing."""
    async with a_world() as world:
        link = await _link(world)
        asked = len(world.asked)
        assert (await _get(world, link, authorization="Bearer nonsense")).status == 200
        assert len(world.asked) == asked


@pytest.mark.anyio
async def test_a_head_has_everything_but_the_audio() -> None:
    """The same headers, ranges ignored (RFC 9110, 14.2: only GET has them)."""
    async with a_world() as world:
        link = await _link(world)
        whole = await _get(world, link)
        head = await world.ask("HEAD", link, owner=None, headers={"range": "bytes=0-1"})
        assert (head.status, head.content) == (200, b"")
        own = {"x-request-id"}
        assert {name: value for name, value in head.headers.items() if name not in own} == {
            name: value for name, value in whole.headers.items() if name not in own
        }


@pytest.mark.anyio
async def test_a_preflight_allows_what_a_player_sends() -> None:
    """204 with full CORS, from any page."""
    async with a_world() as world:
        answer = await world.ask(
            "OPTIONS", await _link(world), owner=None, headers={"origin": "https://a.example"}
        )
        assert (answer.status, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
        assert "Range" in answer.headers["access-control-allow-headers"]
        assert "Content-Range" in answer.headers["access-control-expose-headers"]


@pytest.mark.anyio
async def test_a_download_has_a_readable_name() -> None:
    """RFC 6266: the name as it is for new clients, in ASCII for old ones, and nothing raw."""
    async with a_world() as world:
        answer = await _get(world, await _link(world, "?download=1"))
        assert answer.headers["content-disposition"] == (
            'attachment; filename="Grue aus Koln, 5 mehr.wav";'
            " filename*=UTF-8''Gr%C3%BC%C3%9Fe%20aus%20K%C3%B6ln%2C%205%20mehr.wav"
        )


@pytest.mark.anyio
async def test_a_link_expires() -> None:
    """It opens for an hour, and not a second longer."""
    async with a_world() as world:
        link = await _link(world)
        world.clock.advance(3599)
        assert (await _get(world, link)).status == 200
        world.clock.advance(1)
        late = await _get(world, link)
        assert (late.status, late.detail) == (403, "This link has expired.")


@pytest.mark.anyio
async def test_a_known_etag_saves_the_transfer() -> None:
    """304 for who has it already; another's doesn't count."""
    async with a_world() as world:
        link = await _link(world)
        etag = (await _get(world, link)).headers["etag"]
        known = await _get(world, link, if_none_match=etag)
        assert (known.status, known.content, known.headers["etag"]) == (304, b"", etag)
        assert (await _get(world, link, if_none_match='W/"x", ' + etag)).status == 304
        assert (await _get(world, link, if_none_match=f"W/{etag}")).status == 304
        assert (await _get(world, link, if_none_match="*")).status == 304
        assert (await _get(world, link, if_none_match='"other"')).status == 200


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-", 0, SIZE),
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=10-", 10, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        ("bytes=-100000", 0, SIZE),
        (f"bytes=0-{SIZE}", 0, SIZE),
        ("bytes=0-" + "9" * 5000, 0, SIZE),
        ("BYTES= 5-6 ", 5, 7),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_one_range_is_answered_with_that_part(wanted: str, start: int, end: int) -> None:
    """206, with the part's place in the whole."""
    async with a_world() as world:
        answer = await _get(world, await _link(world), range=wanted)
        assert (answer.status, answer.content) == (206, AUDIO[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
        assert answer.headers["content-length"] == str(end - start)


@pytest.mark.anyio
@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", "bytes=" + "9" * 5000 + "-", "bytes=-0"])
async def test_a_range_behind_the_end_can_not_be_satisfied(wanted: str) -> None:
    """416, with the true size."""
    async with a_world() as world:
        answer = await _get(world, await _link(world), range=wanted)
        assert (answer.status, answer.content) == (416, b"")
        assert answer.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=5-2",
        "bytes=-",
        "bytes=",
        "bytes=a-b",
        "items=0-1",
        "bytes=0-0,2-2",
        "bytes=0-0," * 999,
        "0-1",
        "bytes 0-1",
        "bytes=-1-2",
        "bytes=٠-١",
        "bytes=0x0-1",
        "",
    ],
    ids=lambda value: value[:20],
)
async def test_anything_else_is_answered_with_the_whole(wanted: str) -> None:
    """RFC 9110, 14.2: a Range that we don't take is ignored."""
    async with a_world() as world:
        answer = await _get(world, await _link(world), range=wanted)
        assert (answer.status, answer.content) == (200, AUDIO)
        assert "content-range" not in answer.headers


@pytest.mark.anyio
async def test_a_range_of_something_else_is_answered_with_the_whole() -> None:
    """If-Range: the rest is only worth something to who has the beginning of this very blob."""
    async with a_world() as world:
        link = await _link(world)
        etag = (await _get(world, link)).headers["etag"]
        assert (await _get(world, link, range="bytes=1-2", if_range=etag)).status == 206
        for other in ('"other"', f"W/{etag}", "Thu, 01 Jan 2026 00:00:00 GMT"):
            assert (await _get(world, link, range="bytes=1-2", if_range=other)).status == 200


def test_ranges_agree_with_slices() -> None:
    """Whatever is asked, what is answered lies inside the blob and is what a slice would give."""
    chance = random.Random(7)
    for _ in range(2000):
        size = chance.randrange(0, 12)
        first, last = (chance.choice(["", str(chance.randrange(0, 14))]) for _ in range(2))
        whole = bytes(range(size))
        try:
            part = requested_range(f"bytes={first}-{last}", size)
        except UnsatisfiableRange:
            wanted = whole[int(first) :] if first else whole[size - min(size, int(last)) :]
            assert wanted == b""
            continue
        if part is None:
            assert not first + last or (first and last and int(first) > int(last))
        elif first:
            stop = int(last) + 1 if last else size
            assert whole[part.start : part.end] == whole[int(first) : stop] != b""
        else:
            assert part == ByteRange(max(0, size - int(last)), size)


# --- signatures ---------------------------------------------------------------------------------------


def _meaning(link: str) -> object:
    """The same for two spellings of one link (%c3 and %C3, say)."""
    parts = urlsplit(link)
    return parts.path, parse_query(parts.query)


@pytest.mark.anyio
async def test_no_mutation_of_a_link_opens_anything() -> None:
    """Every single character matters, wherever it is."""
    async with a_world() as world:
        link = await _link(world, "?download=1")
        chance = random.Random(11)
        alphabet = "abcXYZ0189-_.~%&=/?"
        for _ in range(600):
            at = chance.randrange(len("/api/media/"), len(link))
            kind = chance.choice(["replace", "insert", "delete"])
            rest = link[at + (kind != "insert") :]
            mutant = link[:at] + ("" if kind == "delete" else chance.choice(alphabet)) + rest
            if _meaning(mutant) == _meaning(link):
                continue
            answer = await _get(world, mutant)
            assert answer.status in (403, 404), mutant
            assert answer.detail in ("This link is not valid.", "There is nothing at this address.")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "query",
    [
        "",
        "?expires=99999999999",
        "?signature=x",
        "?expires=&signature=",
        "?expires=x&signature=é",
        "?expires=1&signature=%00",
        "?expires=%F0%9F%98%80&signature=%FF",
    ],
)
async def test_a_link_without_a_true_signature_is_refused(query: str) -> None:
    """403 in one sentence, before any blob is looked for."""
    async with a_world() as world:
        answer = await _get(world, f"/api/media/{KEY}{query}")
        assert (answer.status, answer.detail) == (403, "This link is not valid.")
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.anyio
async def test_a_signed_link_to_nothing_is_not_found() -> None:
    """404: the blob was deleted meanwhile."""
    async with a_world() as world:
        path = LinkSigner(SIGNING_KEY).path(KEY, now=world.clock())
        answer = await _get(world, path)
        assert (answer.status, answer.detail) == (404, "The stored audio is missing.")


@pytest.mark.anyio
async def test_the_name_of_a_download_is_signed_too() -> None:
    """A link to play can't be made one to download, nor the other way round, nor renamed."""
    async with a_world() as world:
        plain = await _link(world)
        named = await _link(world, "?download=1")
        assert (await _get(world, plain + "&name=evil.exe")).status == 403
        assert (await _get(world, named + "&name=evil.exe")).status == 403
        without = "&".join(part for part in named.split("&") if not part.startswith("name="))
        assert (await _get(world, without)).status == 403


def test_another_secret_signs_another_link() -> None:
    """What one server signed means nothing to another."""
    now = ManualClock()()
    assert LinkSigner(SIGNING_KEY).path(KEY, now=now) != LinkSigner(b"x" * 32).path(KEY, now=now)


def test_a_short_secret_is_refused_and_none_is_shown() -> None:
    """15 bytes are too few; no repr tells the others."""
    with pytest.raises(ConfigurationError):
        LinkSigner(b"x" * 15)
    assert "secret-secret-secret" not in repr(LinkSigner(b"secret-secret-secret"))
