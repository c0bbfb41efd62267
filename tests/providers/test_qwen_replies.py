"""What Qwen's answers become."""

import base64
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import anyio
import httpx
import pytest

from tests.providers.dashscope_recordings import (
    API_KEY,
    AUDIO,
    CLONED,
    CLONED_LIST,
    DELETED,
    DEPLOYED_LIST,
    DEPLOYED_ONE,
    DESIGNED,
    DESIGNED_LIST,
    HTTP_LINK,
    LINK,
    REQUEST_ID,
    SPEECH,
    SPEECH_INLINE,
    RecordedResults,
    Vendor,
    error_body,
    hello,
    qwen,
    reply_of,
)
from ttsorch.errors import (
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    ResultExpired,
)
from ttsorch.models import (
    Attempt,
    AudioSource,
    CancelOutcome,
    Clip,
    JsonValue,
    ProviderVoice,
    Ready,
    Voice,
)
from ttsorch.providers._qwen.wire import read_speech, result_url
from ttsorch.providers.qwen import QwenProvider
from ttsorch.testing.speech import tone_wav

pytestmark = pytest.mark.anyio

ATTEMPT = Attempt("key")
DRAFT = Voice(id="draft", name="Alice", tts_provider="qwen")
CLIP = Clip(b"recording", "audio/wav")


async def _read(source: AudioSource | None) -> bytes:
    assert source is not None
    async with source as stream:
        received = b"".join([chunk async for chunk in stream.chunks])
        assert stream.length == len(received)
    return received


def _speech_with(**audio: JsonValue) -> dict[str, JsonValue]:
    return {**SPEECH, "output": {"audio": audio}}


# --- speech -------------------------------------------------------------------------------------------


async def test_speech_is_a_link_with_an_end_and_a_receipt() -> None:
    """Nothing is downloaded: the link is the host's to record first."""
    results = RecordedResults()
    provider = QwenProvider(api_key=API_KEY, transport=Vendor(), downloader=results)
    ready = await provider.submit(hello(), ATTEMPT)
    assert ready.envelope == {"url": LINK, "request_id": REQUEST_ID}
    assert ready.audio is None
    assert ready.expires_at == datetime(2025, 12, 19, 3, 3, 29, tzinfo=UTC)
    assert ready.receipt == {
        "request_id": REQUEST_ID,
        "model": "qwen3-tts-flash",
        "usage": {"characters": 195},
    }
    assert results.opened == []


async def test_the_link_is_fetched_without_a_header_of_ours() -> None:
    """It is signed; the key stays with the API."""
    results = RecordedResults()
    provider = QwenProvider(api_key=API_KEY, transport=Vendor(), downloader=results)
    ready = await provider.submit(hello(), ATTEMPT)
    assert await _read(provider.fetch(json.loads(json.dumps(ready.envelope)))) == AUDIO
    assert results.opened == [(LINK, None)]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
async def test_a_success_that_cannot_be_read_keeps_its_request_id(body: bytes) -> None:
    """It may have been paid for, and the vendor can be asked about it by this alone."""
    with pytest.raises(ProviderUnavailable) as raised:
        read_speech(reply_of(body, headers={"x-request-id": "from-header"}), "model", (API_KEY,))
    assert (raised.value.ambiguous, raised.value.request_id) == (True, "from-header")


@pytest.mark.parametrize(
    "make",
    [
        lambda provider: provider.submit(hello(), ATTEMPT),
        lambda provider: provider.clone(DRAFT, CLIP, ATTEMPT),
    ],
    ids=["submit", "clone"],
)
async def test_an_answer_without_a_preview_is_short_or_unknown(
    make: Callable[[QwenProvider], Awaitable[Ready]],
) -> None:
    """A link or an id fits into a MiB; what is longer is not read at all, and may have been paid for."""
    provider = qwen(Vendor({**SPEECH, "junk": "x" * 1024 * 1024}))
    with pytest.raises(ProviderUnavailable) as raised:
        await make(provider)
    assert raised.value.ambiguous
    assert "ReplyTooLarge" in (raised.value.detail or "")


async def test_a_preview_may_be_longer_than_other_answers() -> None:
    """A minute of it is megabytes of base64."""
    minute = tone_wav(60.0, rate=24_000)
    preview = {"data": base64.b64encode(minute).decode()}
    provider = qwen(Vendor({"output": {"voice": "v", "preview_audio": preview}}))
    assert await _read((await provider.design(DRAFT, ATTEMPT)).audio) == minute


@pytest.mark.parametrize("said", ["", 7, "a b", "a\0b", "m" * 129])
async def test_a_model_that_is_no_models_name_is_not_kept(said: JsonValue) -> None:
    """The voice is paid for: a name that a database refuses must not lose it."""
    provider = qwen(Vendor({"output": {"voice": "v", "target_model": said}}))
    ready = await provider.clone(DRAFT, CLIP, ATTEMPT)
    assert ready.voice == ProviderVoice("v", "qwen3-tts-vc-2026-01-22", "vc")


async def test_a_receipt_is_short() -> None:
    """It is kept on the row for good."""
    counts: dict[str, JsonValue] = {"x" * (1 + number): number for number in range(40)}
    ready = await qwen(Vendor({**SPEECH, "usage": counts})).submit(hello(), ATTEMPT)
    assert ready.receipt is not None
    assert len(json.dumps(ready.receipt["usage"])) < 1000


async def test_audio_inside_the_answer_is_taken() -> None:
    """Only when there is no link; it can be read once."""
    ready = await qwen(Vendor(SPEECH_INLINE)).submit(hello(), ATTEMPT)
    assert ready.envelope is None
    assert await _read(ready.audio) == AUDIO
    with pytest.raises(ResultExpired):
        await _read(ready.audio)
    assert ready.receipt is not None
    assert ready.receipt["usage"] == {"input_tokens": 14, "output_tokens": 101}


async def test_a_download_carries_no_key() -> None:
    """Through our own downloader: one GET of the link over https, with nothing that names us."""
    vendor = Vendor()
    provider = QwenProvider(api_key=API_KEY, workspace="ws-fake", transport=vendor)
    ready = await provider.submit(hello(), ATTEMPT)
    assert await _read(provider.fetch(ready.envelope or {})) == AUDIO
    download = vendor.requests[1]
    assert (download.method, str(download.url)) == ("GET", LINK)
    assert "authorization" not in download.headers
    assert not [value for value in download.headers.values() if API_KEY in value]
    assert not [name for name in download.headers if name.startswith("x-dashscope")]


async def test_a_link_that_has_expired_is_gone_for_good() -> None:
    """Its host answers 403 then; asking again won't help."""
    vendor = Vendor()
    vendor.download_status = 403
    provider = QwenProvider(api_key=API_KEY, transport=vendor)
    with pytest.raises(ResultExpired):
        await _read(provider.fetch({"url": LINK}))


async def test_a_link_to_a_host_that_is_not_the_vendors_is_not_fetched() -> None:
    """Whoever answers for the vendor doesn't choose whom we speak to."""
    vendor = Vendor()
    provider = QwenProvider(api_key=API_KEY, transport=vendor)
    with pytest.raises(ProviderUnavailable) as raised:
        await _read(provider.fetch({"url": "https://aliyuncs.com.evil.test/a"}))
    assert raised.value.code == "result_url_blocked"
    assert vendor.requests == []


@pytest.mark.parametrize("missing", [{}, {"url": None}, {"url": 7}])
async def test_an_envelope_without_a_link_is_expired(missing: dict[str, JsonValue]) -> None:
    """There is nothing to download, now or later."""
    provider = QwenProvider(api_key=API_KEY, transport=Vendor())
    with pytest.raises(ResultExpired):
        await _read(provider.fetch(missing))


async def test_a_link_to_a_private_host_of_the_operators_is_used_as_given() -> None:
    """Over plain http, at a loopback address: both the reading and the download allow it."""
    link = "http://127.0.0.1:9000/a"
    vendor = Vendor(_speech_with(url=link))
    provider = QwenProvider(
        api_key=API_KEY, transport=vendor, private_result_hosts=("127.0.0.1:9000",)
    )
    ready = await provider.submit(hello(), ATTEMPT)
    assert ready.envelope is not None
    assert ready.envelope["url"] == link
    assert await _read(provider.fetch(ready.envelope)) == AUDIO


@pytest.mark.parametrize(
    ("said", "private", "used"),
    [
        (HTTP_LINK, (), LINK),
        (LINK, (), LINK),
        ("HTTP://OSS.test/a?Signature=%2b", (), "https://OSS.test/a?Signature=%2b"),
        ("http://oss.test:80/a", (), "https://oss.test/a"),
        ("http://oss.test:8080/a", (), "https://oss.test:8080/a"),
        ("http://oss.test:8080/a:80/b", (), "https://oss.test:8080/a:80/b"),
        ("http://oss.test?a=1:80", (), "https://oss.test?a=1:80"),
        ("http://127.0.0.1:9000/a", ("127.0.0.1:9000",), "http://127.0.0.1:9000/a"),
        ("http://127.0.0.1:9001/a", ("127.0.0.1:9000",), "https://127.0.0.1:9001/a"),
        ("http://Oss.Test/a", ("oss.test:80",), "http://Oss.Test/a"),
        ("http://[::1]:9000/a", ("[::1]:9000",), "http://[::1]:9000/a"),
    ],
)
def test_a_link_is_raised_to_https_and_otherwise_left_alone(
    said: str, private: tuple[str, ...], used: str
) -> None:
    """The signature covers the rest; a private host that the operator named is used as given."""
    assert result_url(said, private) == used


_NO_LINK: list[JsonValue] = [
    {},
    {"output": None},
    {"output": {"audio": []}},
    _speech_with(),
    _speech_with(url="", data=""),
    _speech_with(url=7),
    _speech_with(url="file:///etc/passwd"),
    _speech_with(url="//oss.test/a"),
    _speech_with(url="https://"),
    _speech_with(url="https://oss.test/" + "a" * 10_000),
    _speech_with(url=None, data="bm90!IGJhc2U2NA=="),
    _speech_with(url=None, data="é"),
]


@pytest.mark.parametrize("payload", _NO_LINK)
async def test_a_success_without_a_link_is_an_unknown_outcome(payload: JsonValue) -> None:
    """It may have been paid for, so it is never sent again on its own."""
    with pytest.raises(ProviderUnavailable) as raised:
        await qwen(Vendor(payload)).submit(hello(), ATTEMPT)
    assert (raised.value.code, raised.value.ambiguous) == ("result_missing", True)


@pytest.mark.parametrize("body", [b"", b'{"output":', b"<html>", b"[]", b"null"])
async def test_a_success_that_is_not_readable_is_an_unknown_outcome(body: bytes) -> None:
    """The operator gets its size and digest, not its text."""
    with pytest.raises(ProviderUnavailable) as raised:
        await qwen(Vendor(body)).submit(hello(), ATTEMPT)
    assert raised.value.ambiguous
    assert f"with {len(body)} bytes" in (raised.value.detail or "")


async def test_a_success_with_a_code_is_a_failure() -> None:
    """Even when a link came with it."""
    with pytest.raises(ProviderRejected):
        await qwen(Vendor({**SPEECH, "code": "DataInspectionFailed"})).submit(hello(), ATTEMPT)


@pytest.mark.parametrize(
    ("expires_at", "expected"),
    [
        (1766113409, datetime(2025, 12, 19, 3, 3, 29, tzinfo=UTC)),
        (1766113409.0, datetime(2025, 12, 19, 3, 3, 29, tzinfo=UTC)),
        (None, None),
        ("1766113409", None),
        (True, None),
        (1e308, None),
        (10**400, None),
    ],
)
def test_an_end_is_believed_only_if_it_is_a_time(
    expires_at: JsonValue, expected: datetime | None
) -> None:
    """Junk counts as not said."""
    payload = _speech_with(url=LINK, expires_at=expires_at)
    assert read_speech(reply_of(payload), "m", ()).expires_at == expected


def test_a_receipt_holds_counts_and_no_secret() -> None:
    """Vendor text has no place on the row but the request id, and that not if it is our key."""
    usage: JsonValue = {"characters": 3, API_KEY: 4, "note": API_KEY, "cached": True}
    body = {**SPEECH, "usage": usage, "request_id": API_KEY}
    receipt = read_speech(reply_of(body), "m", (API_KEY,)).receipt
    assert API_KEY not in json.dumps(receipt, default=dict)
    assert receipt["usage"] == {"characters": 3}


# --- making voices ------------------------------------------------------------------------------------


async def test_a_clone_is_a_voice_and_nothing_else() -> None:
    """Bound to the model that the vendor says; neither audio nor an envelope."""
    ready = await qwen(Vendor(CLONED)).clone(DRAFT, CLIP, ATTEMPT)
    assert ready.voice == ProviderVoice(
        "qwen-tts-vc-alice-voice-20260301-fake", "qwen3-tts-vc-2026-01-22", "vc"
    )
    assert (ready.audio, ready.envelope) == (None, None)
    assert ready.receipt == {
        "request_id": REQUEST_ID,
        "model": "qwen3-tts-vc-2026-01-22",
        "usage": {"count": 1},
    }


@pytest.mark.parametrize(
    ("said", "bound_to"),
    [("qwen3-tts-vc-2027", "qwen3-tts-vc-2027"), (None, "qwen3-tts-vc-2026-01-22")],
)
async def test_the_reply_says_what_the_voice_is_bound_to(said: JsonValue, bound_to: str) -> None:
    """The vendor knows; the model asked for is only the fallback."""
    payload = {"output": {"voice": "v-1", "target_model": said}}
    ready = await qwen(Vendor(payload)).clone(DRAFT, CLIP, ATTEMPT)
    assert ready.voice == ProviderVoice("v-1", bound_to, "vc")


@pytest.mark.parametrize("voice", [None, "", 7, "a\r\nb", "v" * 300, "../v"])
async def test_a_voice_without_a_usable_name_is_an_unknown_outcome(voice: JsonValue) -> None:
    """Something may exist in the account: it isn't made again on its own."""
    provider = qwen(Vendor({"output": {"voice": voice}}))
    for call in (provider.clone(DRAFT, CLIP, ATTEMPT), provider.design(DRAFT, ATTEMPT)):
        with pytest.raises(ProviderUnavailable) as raised:
            await call
        assert (raised.value.code, raised.value.ambiguous) == ("voice_missing", True)


async def test_a_design_is_a_voice_with_its_preview() -> None:
    """The preview came inside the answer, so there is no envelope to go back to."""
    ready = await qwen(Vendor(DESIGNED)).design(DRAFT, ATTEMPT)
    assert ready.voice == ProviderVoice(
        "qwen-tts-vd-bob-voice-20260301-fake", "qwen3-tts-vd-2026-01-26", "vd"
    )
    assert await _read(ready.audio) == AUDIO
    assert ready.envelope is None


async def test_a_preview_may_be_megabytes() -> None:
    """A minute of speech, in base64, is far over what other answers may have."""
    recording = AUDIO + bytes(3_000_000)
    payload = json.loads(json.dumps(DESIGNED))
    payload["output"]["preview_audio"]["data"] = base64.b64encode(recording).decode()
    ready = await qwen(Vendor(payload)).design(DRAFT, ATTEMPT)
    assert await _read(ready.audio) == recording


@pytest.mark.parametrize("preview", [None, {}, {"data": ""}, {"data": "%"}])
async def test_a_design_without_a_preview_names_the_voice_to_the_operator(
    preview: JsonValue,
) -> None:
    """It exists and counts: started, not ambiguous, and the user is told nothing of ids."""
    payload = {"output": {"voice": "v-1", "preview_audio": preview}}
    with pytest.raises(ProviderUnavailable) as raised:
        await qwen(Vendor(payload)).design(DRAFT, ATTEMPT)
    error = raised.value
    assert (error.code, error.started, error.ambiguous) == ("preview_missing", True, False)
    assert "v-1" in (error.detail or "")
    assert "v-1" not in error.message


@pytest.mark.parametrize("verb", ["submit", "clone", "design", "list", "query", "delete"])
async def test_every_call_reads_the_vendors_errors(verb: str) -> None:
    """The same table for all of them."""
    provider = qwen(Vendor(error_body("InvalidApiKey", f"bad key {API_KEY}"), 401))
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "submit": lambda: provider.submit(hello(), ATTEMPT),
        "clone": lambda: provider.clone(DRAFT, CLIP, ATTEMPT),
        "design": lambda: provider.design(DRAFT, ATTEMPT),
        "list": lambda: provider.list_provider_voices("vc"),
        "query": lambda: provider.query_provider_voice("vc", "v"),
        "delete": lambda: provider.delete_provider_voice("vc", "v"),
    }
    with pytest.raises(ProviderError) as raised:
        await calls[verb]()
    assert (raised.value.code, raised.value.request_id) == ("provider_auth", REQUEST_ID)
    assert API_KEY not in f"{raised.value!r} {vars(raised.value)!r}"


# --- the account's voices -----------------------------------------------------------------------------


async def test_a_page_of_cloned_voices() -> None:
    """Ready at once, and without a total: the vendor doesn't count these."""
    page = await qwen(Vendor(CLONED_LIST)).list_provider_voices("vc")
    (voice,) = page.voices
    assert voice.id == "qwen-tts-vc-alice-voice-20260301-fake"
    assert (voice.created_at, voice.ready) == ("2026-03-01 10:00:00", True)
    assert (page.page_index, page.page_size, page.total) == (0, 10, None)


async def test_a_page_of_designed_voices_has_a_total() -> None:
    """Rows that aren't voices are left out."""
    page = await qwen(Vendor(DESIGNED_LIST)).list_provider_voices("vd", 1, 2)
    assert [voice.id for voice in page.voices] == ["qwen-tts-vd-bob-voice-20260301-fake"]
    assert page.total == 26


async def test_a_voice_that_is_being_deployed_is_not_ready() -> None:
    """The other family makes its voices in the background."""
    provider = qwen(Vendor(DEPLOYED_LIST), vc_model="cosyvoice-v3-plus")
    page = await provider.list_provider_voices("vc")
    assert [(voice.status, voice.ready) for voice in page.voices] == [
        ("OK", True),
        ("DEPLOYING", False),
    ]


async def test_a_voice_that_was_asked_for_has_its_id() -> None:
    """Also in the answer that doesn't repeat it."""
    provider = qwen(Vendor(DEPLOYED_ONE), vc_model="cosyvoice-v3-plus")
    voice = await provider.query_provider_voice("vc", "v-1")
    assert voice is not None
    assert (voice.id, voice.ready) == ("v-1", False)


async def test_a_missing_voice_is_an_answer() -> None:
    """Neither looking it up nor deleting it is an error."""
    provider = qwen(Vendor(error_body("BadRequest.VoiceNotFound"), 400))
    assert await provider.query_provider_voice("vd", "v-1") is None
    assert await provider.delete_provider_voice("vd", "v-1") is False


async def test_a_deleted_voice_is_gone() -> None:
    """The documented answer has no output at all."""
    assert await qwen(Vendor(DELETED)).delete_provider_voice("vc", "v-1") is True


# --- the rest of the protocol -------------------------------------------------------------------------


async def test_there_is_no_job_to_ask_about_or_to_cancel() -> None:
    """A direct provider gives no tickets."""
    provider = qwen(Vendor())
    with pytest.raises(ProviderUnavailable) as raised:
        await provider.check({})
    assert (raised.value.code, raised.value.retryable) == ("no_such_job", False)
    assert await provider.cancel({}) is CancelOutcome.UNSUPPORTED


async def test_only_what_was_opened_here_is_closed() -> None:
    """A transport and a downloader of the host's stay open; ours take no more requests."""
    vendor, results = Vendor(), RecordedResults()
    provider = QwenProvider(api_key=API_KEY, transport=vendor, downloader=results)
    await provider.submit(hello(), ATTEMPT)
    await provider.aclose()
    assert (vendor.closed, results.closed) == (False, 0)
    with pytest.raises(ProviderUnavailable):
        await provider.submit(hello(), ATTEMPT)


async def test_our_own_downloader_is_closed_with_us() -> None:
    """It opens no more downloads."""
    vendor = Vendor()
    provider = QwenProvider(api_key=API_KEY, transport=vendor)
    await provider.aclose()
    with pytest.raises(ProviderUnavailable):
        await _read(provider.fetch({"url": LINK}))
    assert (vendor.requests, vendor.closed) == ([], False)


async def test_a_client_of_the_hosts_is_used_and_left_open() -> None:
    """For its proxies and certificates."""
    vendor = Vendor()
    async with httpx.AsyncClient(transport=vendor) as theirs:
        provider = QwenProvider(api_key=API_KEY, http=theirs, downloader=RecordedResults())
        await provider.submit(hello(), ATTEMPT)
        await provider.aclose()
        assert not theirs.is_closed
    assert len(vendor.requests) == 1


async def test_a_synthesis_that_takes_too_long_is_ambiguous() -> None:
    """Our own deadline passed; the vendor may still be at it."""

    class Silent(Vendor):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await anyio.sleep_forever()
            raise AssertionError("unreachable")

    provider = QwenProvider(
        api_key=API_KEY, timeout=0.01, transport=Silent(), downloader=RecordedResults()
    )
    with pytest.raises(ProviderTimeout) as raised:
        await provider.submit(hello(), ATTEMPT)
    assert raised.value.ambiguous
