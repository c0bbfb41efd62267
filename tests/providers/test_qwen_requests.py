"""What Qwen is asked, and what it is never asked."""

import base64
import json
import re

import pytest

from tests.providers.dashscope_recordings import (
    API_KEY,
    CLONED,
    CLONED_LIST,
    DELETED,
    DEPLOYED_LIST,
    DESIGNED,
    Vendor,
    hello,
    qwen,
    qwen_voice,
)
from ttsorch.errors import ProviderInvalid, ValidationError
from ttsorch.models import Attempt, Clip, JsonValue, Voice
from ttsorch.providers._qwen.wire import preferred_name

pytestmark = pytest.mark.anyio

ATTEMPT = Attempt("key")
VC, VD = "qwen3-tts-vc-2026-01-22", "qwen3-tts-vd-2026-01-26"
INSTRUCT = "qwen3-tts-instruct-flash"
COSY = "cosyvoice-v3-plus"


def _draft(name: str = "Alice", language: str = "English", transcript: str | None = "Hi.") -> Voice:
    return Voice(
        id="0d6f2c4e-aaaa",
        name=name,
        tts_provider="qwen",
        language=language,
        description="A calm old sailor",
        reference_transcript=transcript,
    )


# --- speech -------------------------------------------------------------------------------------------


async def test_speech_is_asked_of_the_generation_path() -> None:
    """Model, text, voice and language, in the documented shape, with the key and nothing else."""
    vendor = Vendor()
    await qwen(vendor).submit(hello(), ATTEMPT)
    assert vendor.asked == {
        "model": "qwen3-tts-flash",
        "input": {"text": "Hello, world.", "voice": "Cherry", "language_type": "English"},
    }
    request = vendor.requests[0]
    assert str(request.url) == (
        "https://dashscope-intl.aliyuncs.com/api/v1/services/aigc/multimodal-generation/generation"
    )
    assert request.headers["authorization"] == f"Bearer {API_KEY}"
    assert not [name for name in request.headers if name.startswith("x-dashscope")]


async def test_a_paid_call_wants_a_fresh_connection_and_waits_long() -> None:
    """A reused connection can't be told from a lost request; the vendor is silent while it works."""
    vendor = Vendor()
    await qwen(vendor).submit(hello(), ATTEMPT)
    extensions = vendor.requests[0].extensions
    assert extensions["fresh_connection"] is True
    assert extensions["timeout"]["read"] == 300.0


async def test_a_workspace_is_named_in_its_header() -> None:
    """Only when there is one."""
    vendor = Vendor()
    await qwen(vendor, workspace="ws-fake").submit(hello(), ATTEMPT)
    assert vendor.requests[0].headers["x-dashscope-workspace"] == "ws-fake"


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("qwen3-tts-flash", "/api/v1/services/aigc/multimodal-generation/generation"),
        ("qwen-tts-latest", "/api/v1/services/aigc/multimodal-generation/generation"),
        ("qwen-audio-3.1-tts-flash", "/api/v1/services/audio/tts/SpeechSynthesizer"),
        (COSY, "/api/v1/services/audio/tts/SpeechSynthesizer"),
        ("sambert-zhichu-v1", "/api/v1/services/audio/tts/SpeechSynthesizer"),
    ],
)
async def test_the_model_decides_the_path(model: str, path: str) -> None:
    """By the routing rule of the vendor's own SDK."""
    vendor = Vendor()
    provider = qwen(vendor, system_model=model)
    await provider.submit(hello(qwen_voice(model=model)), ATTEMPT)
    assert vendor.requests[0].url.path == path


async def test_the_other_family_gets_its_options_and_a_format_we_can_store() -> None:
    """WAV unless the request says otherwise, and no language: that input has no such field."""
    vendor = Vendor()
    provider = qwen(vendor, system_model=COSY)
    request = hello(qwen_voice("longanyang", COSY), sample_rate=48000, rate=1.2, enable_ssml=True)
    provider.check_request(request)
    await provider.submit(request, ATTEMPT)
    assert vendor.asked["input"] == {
        "text": "Hello, world.",
        "voice": "longanyang",
        "format": "wav",
        "sample_rate": 48000,
        "rate": 1.2,
        "enable_ssml": True,
    }


@pytest.mark.parametrize(
    ("language", "sent"),
    [("english", "English"), ("Auto", "Auto"), ("Klingon", "Auto"), ("Russian", "Russian")],
)
async def test_a_language_the_vendor_lacks_is_left_to_it(language: str, sent: str) -> None:
    """Spelled as the vendor does; anything else is Auto."""
    vendor = Vendor()
    request = hello()
    object.__setattr__(request, "language", language)
    await qwen(vendor).submit(request, ATTEMPT)
    assert json.loads(vendor.requests[0].content)["input"]["language_type"] == sent


async def test_instructions_reach_an_instruct_model() -> None:
    """Beside the text, as they are; an explicit false too."""
    vendor = Vendor()
    provider = qwen(vendor, system_model=INSTRUCT)
    request = hello(
        qwen_voice(model=INSTRUCT), instructions="Whisper.", optimize_instructions=False
    )
    provider.check_request(request)
    await provider.submit(request, ATTEMPT)
    spoken = json.loads(vendor.requests[0].content)["input"]
    assert (spoken["instructions"], spoken["optimize_instructions"]) == ("Whisper.", False)


# --- what is refused before anything is sent ----------------------------------------------------------

_MISSING = "Voice is missing qwen provider metadata. Re-clone or redesign this voice."
_UNSUPPORTED = "Voice target model is not supported by current qwen rollout configuration."


@pytest.mark.parametrize(
    ("voice", "code", "sentence"),
    [
        (qwen_voice(None), "voice_metadata_missing", _MISSING),
        (qwen_voice(model=None), "voice_metadata_missing", _MISSING),
        (qwen_voice(kind=None), "voice_metadata_missing", _MISSING),
        (qwen_voice(kind="cloned"), "voice_metadata_missing", _MISSING),
        (qwen_voice(None, "other", "vc"), "voice_metadata_missing", _MISSING),
        (qwen_voice("v", "qwen3-tts-vc-2025", "vc"), "voice_model_unsupported", _UNSUPPORTED),
        (qwen_voice("v", VD, "vc"), "voice_model_mismatch", "Voice/provider model mismatch (vc)."),
        (qwen_voice("v", VC, "vd"), "voice_model_mismatch", "Voice/provider model mismatch (vd)."),
        (qwen_voice("v", VC, "system"), "voice_model_unsupported", _UNSUPPORTED),
        (qwen_voice("v", "qwen3-tts-flash", "vc"), "voice_model_unsupported", _UNSUPPORTED),
    ],
)
async def test_a_voice_without_its_model_is_a_conflict(
    voice: Voice, code: str, sentence: str
) -> None:
    """The contract's three sentences, in its order, and not a byte is sent."""
    vendor = Vendor()
    provider = qwen(vendor)
    with pytest.raises(ValidationError) as refused:
        provider.check_request(hello(voice))
    assert (refused.value.http_status, refused.value.code) == (409, code)
    assert (refused.value.message, refused.value.field) == (sentence, "voice_id")
    with pytest.raises(ProviderInvalid) as late:
        await provider.submit(hello(voice), ATTEMPT)
    assert (late.value.code, late.value.ambiguous) == (code, False)
    assert late.value.__context__ is None
    assert vendor.requests == []


@pytest.mark.parametrize(
    "voice", [qwen_voice("v", VC, "vc"), qwen_voice("v", VD, "vd"), qwen_voice()]
)
async def test_a_voice_of_each_kind_is_spoken_by_its_own_model(voice: Voice) -> None:
    """The synthesis model is the one the voice is bound to."""
    vendor = Vendor()
    await qwen(vendor).submit(hello(voice), ATTEMPT)
    assert vendor.asked["model"] == voice.provider_target_model


@pytest.mark.parametrize(
    ("model", "name", "value", "code"),
    [
        ("qwen3-tts-flash", "instructions", "Whisper.", "param_unknown"),
        ("qwen3-tts-flash", "speed", 1, "param_unknown"),
        (INSTRUCT, "rate", 1, "param_unknown"),
        (INSTRUCT, "instructions", 1, "param_invalid"),
        (INSTRUCT, "optimize_instructions", "yes", "param_invalid"),
        (COSY, "instructions", "Whisper.", "param_unknown"),
        (COSY, "rate", True, "param_invalid"),
        (COSY, "volume", float("nan"), "param_invalid"),
        (COSY, "volume", float("-inf"), "param_invalid"),
        (COSY, "volume", 10**400, "param_invalid"),
        (COSY, "pitch", float("inf"), "param_invalid"),
        (COSY, "format", "pcm", "param_invalid"),
        (COSY, "format", "PCM", "param_invalid"),
    ],
)
async def test_an_option_that_cannot_be_expressed_is_refused(
    model: str, name: str, value: JsonValue, code: str
) -> None:
    """By name; ranges are left to the vendor."""
    provider = qwen(Vendor(), system_model=model)
    with pytest.raises(ValidationError) as refused:
        provider.check_request(hello(qwen_voice(model=model), **{name: value}))
    assert (refused.value.code, refused.value.field) == (code, name)


# --- making voices ------------------------------------------------------------------------------------


async def test_a_clone_sends_the_recording_inside_the_request() -> None:
    """As a data URI with its own type, with the transcript and the language's code."""
    vendor = Vendor(CLONED)
    await qwen(vendor).clone(_draft(), Clip(b"\0RIFF\xff", "audio/mpeg"), ATTEMPT)
    data = "data:audio/mpeg;base64," + base64.b64encode(b"\0RIFF\xff").decode()
    assert vendor.asked == {
        "model": "qwen-voice-enrollment",
        "input": {
            "action": "create",
            "target_model": VC,
            "preferred_name": "Alice",
            "audio": {"data": data},
            "text": "Hi.",
            "language": "en",
        },
    }
    assert vendor.requests[0].url.path == "/api/v1/services/audio/tts/customization"
    assert vendor.requests[0].extensions["fresh_connection"] is True


@pytest.mark.parametrize("language", ["Auto", "Klingon"])
async def test_what_is_not_known_is_not_sent(language: str) -> None:
    """No language and no transcript, rather than empty ones."""
    vendor = Vendor(CLONED)
    draft = _draft(language=language, transcript=None)
    await qwen(vendor).clone(draft, Clip(b"x", "audio/wav"), ATTEMPT)
    asked = vendor.asked["input"]
    assert isinstance(asked, dict)
    assert asked.keys() == {"action", "target_model", "preferred_name", "audio"}


async def test_a_design_sends_the_description_and_the_preview() -> None:
    """With a format that can be stored."""
    vendor = Vendor(DESIGNED)
    await qwen(vendor).design(_draft(language="German"), ATTEMPT)
    assert vendor.asked == {
        "model": "qwen-voice-design",
        "input": {
            "action": "create",
            "target_model": VD,
            "voice_prompt": "A calm old sailor",
            "preview_text": "Hi.",
            "preferred_name": "Alice",
            "language": "de",
        },
        "parameters": {"sample_rate": 24000, "response_format": "wav"},
    }
    assert vendor.requests[0].extensions["fresh_connection"] is True


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Alice", "Alice"),
        ("abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnop"),
        ("  My old voice, no. 17 ", "My_old_voice_no"),
        ("小明", "voice_0d6f2c4eaa"),
        ("", "voice_0d6f2c4eaa"),
        ("___", "voice_0d6f2c4eaa"),
        ("É 9", "9"),
    ],
)
def test_a_name_becomes_one_the_vendor_takes(name: str, expected: str) -> None:
    """At most 16 letters, digits and underscores, never none, always the same."""
    assert preferred_name(_draft(name)) == expected
    assert re.fullmatch(r"[A-Za-z0-9_]{1,16}", expected)


async def test_a_model_that_deploys_its_voices_makes_none() -> None:
    """It takes recordings by public URL only: the capabilities say so, and nothing is sent."""
    vendor = Vendor(CLONED)
    provider = qwen(vendor, vc_model=COSY, vd_model=COSY)
    assert (provider.capabilities.cloning, provider.capabilities.design) == (False, False)
    with pytest.raises(ProviderInvalid, match=r"configured model"):
        await provider.clone(_draft(), Clip(b"x", "audio/wav"), ATTEMPT)
    with pytest.raises(ProviderInvalid, match=r"configured model"):
        await provider.design(_draft(), ATTEMPT)
    assert vendor.requests == []


# --- the account's voices -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "model"), [("vc", "qwen-voice-enrollment"), ("vd", "qwen-voice-design")]
)
async def test_voices_of_qwen_are_managed_in_its_words(kind: str, model: str) -> None:
    """The verbs list, query and delete, and an id called voice."""
    vendor = Vendor(CLONED_LIST)
    provider = qwen(vendor)
    await provider.list_provider_voices(kind, 1, 2)
    await provider.query_provider_voice(kind, "v-1")
    vendor.payload = DELETED
    await provider.delete_provider_voice(kind, "v-1")
    assert [json.loads(request.content) for request in vendor.requests] == [
        {"model": model, "input": {"action": "list", "page_index": 1, "page_size": 2}},
        {"model": model, "input": {"action": "query", "voice": "v-1"}},
        {"model": model, "input": {"action": "delete", "voice": "v-1"}},
    ]


@pytest.mark.parametrize("model", [COSY, "qwen-audio-3.0-tts-plus"])
async def test_voices_of_the_other_family_are_managed_in_its_words(model: str) -> None:
    """Other verbs, another managing model, and an id called voice_id, on the same URL."""
    vendor = Vendor(DEPLOYED_LIST)
    provider = qwen(vendor, vc_model=model)
    await provider.list_provider_voices("vc")
    await provider.query_provider_voice("vc", "v-1")
    await provider.delete_provider_voice("vc", "v-1")
    asked = [json.loads(request.content) for request in vendor.requests]
    assert {body["model"] for body in asked} == {"voice-enrollment"}
    assert [body["input"] for body in asked] == [
        {"action": "list_voice", "page_index": 0, "page_size": 10},
        {"action": "query_voice", "voice_id": "v-1"},
        {"action": "delete_voice", "voice_id": "v-1"},
    ]


@pytest.mark.parametrize("kind", ["system", "", "cloned"])
async def test_only_made_voices_are_managed(kind: str) -> None:
    """The vendor's own can't be listed or deleted."""
    vendor = Vendor()
    with pytest.raises(ValidationError, match=r"kind must be"):
        await qwen(vendor).list_provider_voices(kind)
    assert vendor.requests == []
