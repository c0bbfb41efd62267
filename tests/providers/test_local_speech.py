"""What the embedded engine says."""

import sys

import anyio
import pytest

from tests.providers.recordings import engine_voice, measure, speak
from ttsorch.errors import ConfigurationError, ProviderRejected, ProviderUnavailable, ResultExpired
from ttsorch.models import Attempt, CancelOutcome, JsonValue, OnUnknown, SpeechRequest
from ttsorch.providers.local import LocalProvider

pytestmark = pytest.mark.anyio

ONLY_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest.fixture(scope="module")
def local() -> LocalProvider:
    return LocalProvider(max_children=2)


async def duration(provider: LocalProvider, text: str, **options: JsonValue) -> float:
    request = SpeechRequest(text, engine_voice(), options=options)
    return measure(await speak(provider, request)).duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Hello, world.", (0.5, 3)),
        ("你好，世界。", (0.5, 4)),
        ("مرحبا بالعالم", (0.5, 4)),
        ("🙂🎉", (0.5, 4)),
        ("x", (0.1, 1)),
        ("Привет, мир.", (0.5, 3)),
    ],
)
async def test_a_short_text_is_heard(
    local: LocalProvider, text: str, seconds: tuple[float, float]
) -> None:
    """A text of any script becomes sound of a plausible length and loudness."""
    heard = measure(await speak(local, SpeechRequest(text, engine_voice())))

    assert seconds[0] < heard.duration < seconds[1]
    assert heard.loudness > 300
    assert heard.sample_rate in local.capabilities.sample_rates


@ONLY_ASYNCIO
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("All work and no play. " * 454 + "The end. ...", (400, 1200)),
        ("床前明月光，" * 1666 + "疑是地上", (1000, 4000)),
        ("السلام عليكم " * 769 + "سلا", (300, 1500)),
        ("🎉" * 5000, (1000, 10000)),
    ],
    ids=["latin", "han", "arabic", "emoji"],
)
async def test_the_longest_text_streams_in_small_pieces(
    local: LocalProvider, text: str, seconds: tuple[float, float]
) -> None:
    """Ten thousand characters give minutes of sound, of which memory never holds more than a piece."""
    assert len(text.encode("utf-16-le")) // 2 == local.capabilities.max_text_chars
    ready = await local.submit(SpeechRequest(text, engine_voice()), Attempt("key"))
    assert ready.audio is not None

    async with ready.audio as stream:
        sizes, heard = [], False
        async for chunk in stream.chunks:
            sizes.append(len(chunk))
            heard = heard or chunk.count(0) < len(chunk) // 2

    assert heard
    assert sum(sizes) == stream.length
    assert max(sizes) <= 256 * 1024
    assert seconds[0] < sum(sizes) / 2 / 22050 < seconds[1]


@ONLY_ASYNCIO
async def test_every_voice_speaks_its_own_language(local: LocalProvider) -> None:
    """No voice of the catalog is mute, read by its own pronunciation."""
    mute = []

    async def listen(identifier: str, language: str) -> None:
        request = SpeechRequest("one two three", engine_voice(identifier), language)
        heard = measure(await speak(local, request))
        if max(heard.samples) < 500 or not 0.3 < heard.duration < 10:
            mute.append(identifier)

    voices = await local.voices()
    async with anyio.create_task_group() as group:
        for voice in voices:
            group.start_soon(listen, str(voice.provider_voice_id), voice.name)

    assert len(voices) > 100
    assert mute == []


@pytest.mark.parametrize(
    ("literal", "plain"),
    [
        ("<b>hi</b>", "hi"),
        ('<speak><break time="9s"/>hi</speak>', "hi"),
        ("[[hello]] and a <!-- remark -->", "and a"),
        ("&amp;", "&"),
    ],
)
async def test_text_is_literal(local: LocalProvider, literal: str, plain: str) -> None:
    """Markup, entities and phoneme brackets are read out, not obeyed."""
    assert 1.3 * await duration(local, plain) < await duration(local, literal) < 9


async def test_control_characters_are_not_commands(local: LocalProvider) -> None:
    """The engine's own escape character changes nothing: it is heard as a space."""
    with_command = SpeechRequest("\x0190Fhello", engine_voice())
    with_space = SpeechRequest(" 90Fhello", engine_voice())

    assert await speak(local, with_command) == await speak(local, with_space)


async def test_nothing_after_a_nul_is_lost(local: LocalProvider) -> None:
    """A NUL does not end the text."""
    text = "one\0two three four five six"
    assert await duration(local, text) > 2 * await duration(local, "one")


@pytest.mark.parametrize("text", ["...", "\u200b", "   ", "(\n(", "\ud800"])
async def test_silence_is_refused(local: LocalProvider, text: str) -> None:
    """A text that gives no sound is rejected with a sentence for people, never stored as audio."""
    with pytest.raises(ProviderRejected, match="nothing in this text") as caught:
        await speak(local, SpeechRequest(text, engine_voice()))

    assert caught.value.code == "no_speech"
    assert not caught.value.retryable


async def test_the_same_request_sounds_the_same(local: LocalProvider) -> None:
    """Speech is reproducible to the byte, but for variants with breath in them."""
    request = SpeechRequest("Again and again.", engine_voice())

    assert await speak(local, request) == await speak(local, request)


async def test_rate_changes_the_duration(local: LocalProvider) -> None:
    """More words per minute take less time."""
    text = "one two three four five"
    slow, usual = await duration(local, text, rate=80), await duration(local, text)
    fast = await duration(local, text, rate=450)

    assert slow > 1.5 * usual
    assert usual > 1.5 * fast


@pytest.mark.parametrize("options", [{"pitch": 90}, {"variant": "f2"}, {"variant": "croak"}])
async def test_pitch_and_variant_change_the_sound(
    local: LocalProvider, options: dict[str, JsonValue]
) -> None:
    """Another pitch or timbre is another waveform."""
    plain = SpeechRequest("hello", engine_voice())
    changed = SpeechRequest("hello", engine_voice(), options=options)

    assert await speak(local, changed) != await speak(local, plain)


async def test_volume_changes_the_loudness(local: LocalProvider) -> None:
    """Volume scales the samples, down to the silence that volume zero asks for."""
    loudness = [
        measure(
            await speak(local, SpeechRequest("hello", engine_voice(), options={"volume": volume}))
        ).loudness
        for volume in (0, 50, 150)
    ]

    assert loudness[0] == 0
    assert loudness[1] * 2 < loudness[2]


async def test_a_voice_has_its_own_sound(local: LocalProvider) -> None:
    """Two dialects read the same text differently."""
    american = await speak(local, SpeechRequest("a bath, a dance", engine_voice()))
    british = await speak(local, SpeechRequest("a bath, a dance", engine_voice("gmw/en")))

    assert american != british


async def test_a_named_language_reads_the_text(local: LocalProvider) -> None:
    """A language other than the voice's is read by a voice of that language."""
    german = SpeechRequest("Guten Tag", engine_voice(), language="German")
    native = SpeechRequest("Guten Tag", engine_voice("gmw/de"))

    assert await speak(local, german) == await speak(local, native)


async def test_capabilities_tell_a_free_direct_engine(local: LocalProvider) -> None:
    """The engine is direct, stops when cancelled, and may be asked again: it costs nothing."""
    capabilities = local.capabilities

    assert (capabilities.direct, capabilities.can_cancel) == (True, True)
    assert capabilities.on_unknown is OnUnknown.RESUBMIT
    assert capabilities.max_text_chars == 10_000
    assert {"English", "English (America)", "Chinese", "Thai"} <= set(capabilities.languages)
    assert {voice.language for voice in await local.voices()} <= set(capabilities.languages)


async def test_a_bad_request_is_rejected_by_submit(local: LocalProvider) -> None:
    """What check_request refuses, submit rejects for good, with the same sentence and code."""
    request = SpeechRequest("hello", engine_voice(), options={"rate": 5})

    with pytest.raises(ProviderRejected, match="from 80 to 450") as caught:
        await local.submit(request, Attempt("key"))

    assert caught.value.code == "param_invalid"


async def test_there_is_nothing_to_ask_about(local: LocalProvider) -> None:
    """A direct engine has no tickets: checks and fetches fail for good, cancels are unsupported."""
    with pytest.raises(ProviderUnavailable) as caught:
        await local.check({})
    assert not caught.value.retryable
    with pytest.raises(ResultExpired):
        async with local.fetch({}):
            pass
    assert await local.cancel({}) is CancelOutcome.UNSUPPORTED


async def test_the_engine_needs_no_settings() -> None:
    """The environment is not needed to make one."""
    assert LocalProvider.from_env({}).name == "local"


async def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel, making the provider says what to install."""
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)

    with pytest.raises(ConfigurationError, match=r"ttsorch\[local\]"):
        LocalProvider()
