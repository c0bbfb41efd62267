"""The fake DashScope's result URLs: signed, for a day, and without credentials."""

import pytest

from tests.vendors.dashscope_calls import KEY, START, calling
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.speakers import tone_speaker

pytestmark = pytest.mark.anyio

_DAY = 24 * 60 * 60


async def test_a_url_works_for_a_day() -> None:
    """At its last second there is audio; a second later 403 and OSS's XML."""
    clock = ManualClock(START)
    async with calling(clock=clock) as caller:
        url = await caller.said()
        clock.advance(_DAY)
        assert (await caller.http.get(url)).status_code == 200
        clock.advance(1)
        late = await caller.http.get(url)
    assert late.status_code == 403
    assert late.headers["content-type"] == "application/xml"
    assert "<Code>AccessDenied</Code>" in late.text
    assert f"<RequestId>{late.headers['x-request-id']}</RequestId>" in late.text


async def test_a_result_may_be_expired_from_the_start() -> None:
    """The work is billed; ``expires_at`` lies in the past, and the download is refused."""
    async with calling() as caller:
        caller.fake.switches.expired = 1
        audio = (await caller.say()).json()["output"]["audio"]
        assert audio["expires_at"] < START.timestamp()
        assert (await caller.http.get(audio["url"])).status_code == 403
        assert (await caller.http.get(await caller.said())).status_code == 200
    assert len(caller.fake.ledger.accepted) == 2


async def test_a_url_that_was_changed_is_refused() -> None:
    """Neither another expiry nor another id nor a missing signature gets through."""
    async with calling() as caller:
        url = await caller.said()
        expires = f"Expires={int(START.timestamp()) + _DAY}"
        for changed in (
            url.replace(expires, f"{expires}0"),
            url.replace("/results/audio_", "/results/audio_0"),
            url.partition("&Signature=")[0],
            url.partition("?")[0],
            f"{url}%C3%A9",
        ):
            assert changed != url
            refused = await caller.http.get(changed)
            assert refused.status_code == 403
            assert "<Code>SignatureDoesNotMatch</Code>" in refused.text


async def test_a_download_with_a_key_is_refused_and_noted() -> None:
    """An ``Authorization`` header gets 400, and the ledger names the result that it was sent for."""
    async with calling() as caller:
        audio = (await caller.say()).json()["output"]["audio"]
        assert (await caller.http.get(audio["url"])).status_code == 200
        assert caller.fake.ledger.authorized_downloads == []
        headers = {"Authorization": f"Bearer {KEY}"}
        assert (await caller.http.get(audio["url"], headers=headers)).status_code == 400
        assert caller.fake.ledger.authorized_downloads == [audio["id"]]
        assert caller.fake.ledger.results == {audio["id"]: 1}


async def test_a_result_is_only_read() -> None:
    """Any method but GET is refused."""
    async with calling() as caller:
        assert (await caller.http.post(await caller.said())).status_code == 405


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-20", slice(-20, None)),
        ("bytes=40-99999999", slice(40, None)),
    ],
)
async def test_a_range_can_be_asked_for(wanted: str, part: slice) -> None:
    """It comes as 206 with its place in the whole, under the same ETag."""
    whole = await tone_speaker("Hello.")
    async with calling() as caller:
        url = await caller.said()
        etag = (await caller.http.get(url)).headers["etag"]
        reply = await caller.http.get(url, headers={"Range": wanted, "If-Range": etag})
    first = range(len(whole))[part][0]
    last = range(len(whole))[part][-1]
    assert (reply.status_code, reply.content) == (206, whole[part])
    assert reply.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"
    assert reply.headers["etag"] == etag
    assert reply.headers["accept-ranges"] == "bytes"


async def test_a_range_beyond_the_end_is_refused() -> None:
    """Nothing there to send: 416."""
    async with calling() as caller:
        url = await caller.said()
        reply = await caller.http.get(url, headers={"Range": "bytes=99999999-"})
    assert reply.status_code == 416


@pytest.mark.parametrize("wanted", ["bytes=-", "bytes=1-2,4-5", "seconds=1-2"])
async def test_a_range_that_cannot_be_read_is_ignored(wanted: str) -> None:
    """The whole comes instead."""
    async with calling() as caller:
        url = await caller.said()
        reply = await caller.http.get(url, headers={"Range": wanted})
    assert (reply.status_code, reply.content) == (200, await tone_speaker("Hello."))


async def test_the_etag_may_change_between_downloads() -> None:
    """Then a range of what it was before isn't sent: the whole with ``If-Range``, 412 with ``If-Match``."""
    async with calling() as caller:
        url = await caller.said()
        caller.fake.switches.etag_changes = True
        etag = (await caller.http.get(url)).headers["etag"]
        resumed = await caller.http.get(url, headers={"Range": "bytes=9-", "If-Range": etag})
        matched = await caller.http.get(url, headers={"Range": "bytes=9-", "If-Match": etag})
    assert (resumed.status_code, resumed.content) == (200, await tone_speaker("Hello."))
    assert resumed.headers["etag"] != etag
    assert matched.status_code == 412


async def test_a_download_may_fail_once() -> None:
    """The next statuses are as told; then the audio is there."""
    async with calling() as caller:
        url = await caller.said()
        caller.fake.switches.result_status_once.extend([500, 503])
        statuses = [(await caller.http.get(url)).status_code for _ in range(3)]
    assert statuses == [500, 503, 200]


async def test_a_download_may_end_early() -> None:
    """Its length is honest and its audio cut; the next one is whole."""
    whole = await tone_speaker("Hello.")
    async with calling() as caller:
        url = await caller.said()
        caller.fake.switches.result_truncate.append(100)
        short = await caller.http.get(url)
        assert (short.status_code, short.content) == (200, whole[:100])
        assert short.headers["content-length"] == "100"
        assert (await caller.http.get(url)).content == whole


async def test_urls_may_point_elsewhere() -> None:
    """The scheme and the host are as told; the fake's own are the default."""
    async with calling() as caller:
        assert (await caller.said()).startswith(f"{caller.fake.url}/results/")
        caller.fake.switches.http_scheme = False
        assert (await caller.said()).startswith(f"https://127.0.0.1:{caller.fake.server.port}/")
        caller.fake.switches.results_host = "169.254.169.254:80"
        assert (await caller.said()).startswith("https://169.254.169.254:80/results/")


async def test_a_repr_hides_the_signed_url() -> None:
    """Nothing that a failed test prints shows a URL that works."""
    async with calling() as caller:
        url = await caller.said()
        shown = repr([caller.fake, caller.fake.server, caller.fake.ledger, caller.fake.switches])
    assert url.partition("Signature=")[2] not in shown
    assert KEY not in shown
