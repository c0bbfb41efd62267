"""From a request to what the engine is told."""

import pytest

from tests.providers.recordings import engine_voice
from ttsorch.errors import ValidationError
from ttsorch.models import JsonValue, SpeechRequest, Voice
from ttsorch.providers._espeak.job import EngineJob, build_job
from ttsorch.providers.local import LocalProvider

LOCAL = LocalProvider()

WRONG_RATES: list[JsonValue] = [79, 451, 175.5, "175", None, True]
WRONG_PITCHES: list[JsonValue] = [-1, 100, float("nan"), False, []]
WRONG_VOLUMES: list[JsonValue] = [-1, 201, float("inf"), {}]
WRONG_VARIANTS: list[JsonValue] = ["nobody", "../f2", "", 5, True, None]


def job(**options: JsonValue) -> EngineJob:
    return build_job(SpeechRequest("hello", engine_voice(), options=options), LOCAL._catalog)


def test_a_plain_request_uses_the_engines_defaults() -> None:
    """Without options the engine speaks at its usual rate, pitch and volume."""
    assert job() == EngineJob("gmw/en-US", "hello", rate=175, pitch=50, volume=100)


def test_options_reach_the_engine() -> None:
    """Each option sets its own parameter; a variant is added to the voice."""
    assert job(rate=80, pitch=0, volume=200, variant="f2") == EngineJob(
        "gmw/en-US+f2", "hello", rate=80, pitch=0, volume=200
    )


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        *[("rate", value, "from 80 to 450") for value in WRONG_RATES],
        *[("pitch", value, "from 0 to 99") for value in WRONG_PITCHES],
        *[("volume", value, "from 0 to 200") for value in WRONG_VOLUMES],
        *[("variant", value, "f1, f2") for value in WRONG_VARIANTS],
    ],
)
def test_an_option_out_of_its_range_is_named(option: str, value: JsonValue, expected: str) -> None:
    """A wrong type, a value out of range, NaN or a bool is refused with the range in the message."""
    with pytest.raises(ValidationError, match=f"{option} must be .*{expected}") as caught:
        job(**{option: value})

    assert (caught.value.code, caught.value.field) == ("param_invalid", option)


@pytest.mark.parametrize(
    "options", [{"rate": 450}, {"pitch": 99}, {"volume": 0}, {"variant": "Mr serious"}]
)
def test_the_ends_of_the_ranges_are_allowed(options: dict[str, JsonValue]) -> None:
    """The limits themselves are valid values."""
    assert job(**options).text == "hello"


def test_an_unknown_option_is_named() -> None:
    """An option that the engine doesn't have is refused instead of ignored."""
    with pytest.raises(ValidationError, match=r"'speed'.* rate, pitch, volume, variant") as caught:
        job(speed=2)

    assert (caught.value.code, caught.value.field) == ("param_unknown", "speed")


@pytest.mark.parametrize("identifier", [None, "", "nobody", "gmw/en-us", "gmw/fo"])
def test_an_unknown_voice_is_refused(identifier: str | None) -> None:
    """Only the catalog's own identifiers name a voice."""
    voice = Voice(id="", name="", tts_provider="local", provider_voice_id=identifier)

    with pytest.raises(ValidationError) as caught:
        LOCAL.check_request(SpeechRequest("hello", voice))

    assert (caught.value.code, caught.value.field) == ("voice_unknown", "voice_id")


def test_the_text_is_made_speakable() -> None:
    """What the engine would obey never reaches it."""
    request = SpeechRequest("\x01a\0b", engine_voice())

    assert build_job(request, LOCAL._catalog).text == " a b"
