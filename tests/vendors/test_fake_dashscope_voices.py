"""The fake DashScope's voices: cloned, designed, and bound to their models."""

import base64
import re

import pytest

from tests.vendors.dashscope_calls import (
    INVALID,
    VC,
    VD,
    VOICES,
    calling,
    clip,
    data_url,
    refusal,
    reshaped,
)
from ttsorch.testing.speakers import tone_speaker

pytestmark = pytest.mark.anyio

_MISSING = (400, "BadRequest.VoiceNotFound")


async def test_a_clone_has_the_documented_form() -> None:
    """The answer names the voice and its model, the ledger has one clone, the account one voice."""
    async with calling() as caller:
        response = await caller.clone(text="The quick brown fox.", language="en")
        payload = response.json()
        voice = payload["output"]["voice"]
        assert re.fullmatch(r"qwen-tts-vc-alice-voice-20260301120000000-[0-9a-f]{4}", voice)
        assert payload == {
            "output": {"voice": voice, "target_model": VC},
            "usage": {"count": 1},
            "request_id": response.headers["x-request-id"],
        }
        assert list(caller.fake.voices) == [voice]
    assert [(job.id, job.kind) for job in caller.fake.ledger.accepted] == [(voice, "clone")]


async def test_a_design_comes_with_a_preview() -> None:
    """The preview is the speaker's audio of the preview text, with its real sample rate."""
    async with calling() as caller:
        output = (await caller.design(language="en")).json()["output"]
        preview = output["preview_audio"]
    assert re.fullmatch(r"qwen-tts-vd-bob-voice-\d{17}-[0-9a-f]{4}", output["voice"])
    assert output["target_model"] == VD
    assert base64.b64decode(preview["data"]) == await tone_speaker("Good evening.")
    assert (preview["sample_rate"], preview["response_format"]) == (24_000, "wav")
    assert caller.fake.ledger.accepted_texts("design") == ["A calm narrator."]


async def test_a_voice_speaks_with_its_model_alone() -> None:
    """A clone with another model, and a system voice with the cloning model, are refused."""
    async with calling() as caller:
        cloned = (await caller.clone()).json()["output"]["voice"]
        designed = (await caller.design()).json()["output"]["voice"]
        assert (await caller.say(model=VC, voice=cloned)).status_code == 200
        assert (await caller.say(model=VD, voice=designed)).status_code == 200
        for model, voice in (
            ("qwen3-tts-flash", cloned),
            (VD, cloned),
            (VC, designed),
            (VC, "Cherry"),
        ):
            assert refusal(await caller.say(model=model, voice=voice)) == INVALID
    assert len(caller.fake.ledger.accepted_texts()) == 2


@pytest.mark.parametrize(
    "given",
    [
        {"preferred_name": ""},
        {"preferred_name": "a" * 17},
        {"preferred_name": "alice-2"},
        {"preferred_name": "алиса"},
        {"target_model": "qwen3-tts-flash"},
        {"target_model": VD},
        {"language": "xx"},
        {"text": ""},
        {"audio": "data:audio/wav;base64,"},
        {"audio": {"data": ""}},
        {"audio": {"data": "data:audio/wav,plain"}},
        {"audio": {"data": "data:audio/wav;base64,*"}},
        {"action": "make"},
    ],
)
async def test_a_bad_clone_is_refused(given: dict[str, object]) -> None:
    """Names, models, languages and clips that break the documented rules make no voice."""
    async with calling() as caller:
        assert refusal(await caller.clone(**given)) == INVALID
        assert caller.fake.voices == {}
    assert caller.fake.ledger.accepted == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("https://example.com/clip.wav", "BadRequest.InputDownloadFailed"),
        (data_url(clip(), "audio/ogg"), "BadRequest.UnsupportedFileFormat"),
        (data_url(b"\0" * (10 * 1024 * 1024)), "BadRequest.TooLarge"),
        (data_url(b"RIFF but no wave"), "Audio.DecoderError"),
        (data_url(b"RIFF", "audio/mpeg"), "Audio.DecoderError"),
        (data_url(b"RIFF....", "audio/mp4"), "Audio.DecoderError"),
        (data_url(clip(rate=16_000)), "Audio.AudioRateError"),
        (data_url(clip(2.9)), "Audio.AudioShortError"),
        (data_url(clip(60.1)), "Audio.DurationLimitError"),
        (data_url(clip()[:44] + bytes(144_000)), "Audio.AudioSilentError"),
        (data_url(reshaped(clip(), channels=2)), "Audio.PreprocessError"),
        (data_url(reshaped(clip(), bits=8)), "Audio.PreprocessError"),
    ],
    ids=lambda value: value[:30],
)
async def test_a_bad_clip_is_refused_with_its_reason(data: str, code: str) -> None:
    """Each rule about clips has its code, always with 400."""
    async with calling() as caller:
        assert refusal(await caller.clone(audio={"data": data})) == (400, code)
    assert caller.fake.ledger.accepted == []


@pytest.mark.parametrize(
    "data",
    [
        data_url(b"ID3\x04", "audio/mpeg"),
        data_url(b"\xff\xfb\x90\x64", "audio/mpeg"),
        data_url(b"\0\0\0\x18ftypM4A ", "audio/mp4"),
        data_url(clip(), "audio/wav;codecs=1"),
        data_url(clip(60)),
    ],
    ids=lambda value: value[:30],
)
async def test_a_good_clip_is_taken(data: str) -> None:
    """MP3 and M4A are known by their first bytes; WAV is measured."""
    async with calling() as caller:
        assert (await caller.clone(audio={"data": data})).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        {"voice_prompt": ""},
        {"voice_prompt": "a" * 2049},
        {"preview_text": ""},
        {"preview_text": "a" * 1025},
        {"target_model": VC},
        {"preferred_name": "no spaces"},
        {"language": "klingon"},
    ],
)
async def test_a_bad_design_is_refused(given: dict[str, object]) -> None:
    """Prompts and previews have their limits, and a design its own models."""
    async with calling() as caller:
        assert refusal(await caller.design(**given)) == INVALID
    assert caller.fake.ledger.accepted == []


async def test_the_longest_design_is_taken() -> None:
    """2048 characters of prompt and 1024 of preview pass."""
    async with calling() as caller:
        response = await caller.design(voice_prompt="声" * 2048, preview_text="a" * 1024)
    assert response.status_code == 200


@pytest.mark.parametrize("parameters", [{"sample_rate": 44_100}, {"response_format": "flac"}, "no"])
async def test_a_bad_preview_format_is_refused(parameters: object) -> None:
    """Only the documented rates and formats are known."""
    async with calling() as caller:
        given = {
            "action": "create",
            "target_model": VD,
            "preferred_name": "bob",
            "voice_prompt": "Calm.",
            "preview_text": "Hi.",
        }
        body = {"model": "qwen-voice-design", "input": given, "parameters": parameters}
        assert refusal(await caller.post(VOICES, body)) == INVALID


async def test_voices_are_listed_by_the_model_that_made_them() -> None:
    """Clones come without counts, designs with counts and what they were made from; pages start at 0."""
    async with calling() as caller:
        for name in ("a", "b", "c"):
            await caller.clone(preferred_name=name)
        await caller.design(language="en")
        clones = (await caller.voice("qwen-voice-enrollment", action="list")).json()["output"]
        assert set(clones) == {"voice_list"}
        assert [v["voice"].split("-")[3] for v in clones["voice_list"]] == ["a", "b", "c"]
        assert clones["voice_list"][0]["gmt_create"] == "2026-03-01 12:00:00"
        assert clones["voice_list"][0]["target_model"] == VC
        page = await caller.voice("qwen-voice-enrollment", action="list", page_size=2, page_index=1)
        assert page.json()["output"]["voice_list"] == clones["voice_list"][2:]
        designs = (await caller.voice("qwen-voice-design", action="list")).json()["output"]
    [designed] = designs.pop("voice_list")
    assert designs == {"total_count": 1, "page_size": 10, "page_index": 0}
    assert designed["voice_prompt"] == "A calm narrator."
    assert designed["preview_text"] == "Good evening."


@pytest.mark.parametrize("given", [{"page_size": 0}, {"page_index": -1}, {"page_size": "10"}])
async def test_a_bad_page_is_refused(given: dict[str, object]) -> None:
    """Sizes start at 1, indexes at 0."""
    async with calling() as caller:
        assert refusal(await caller.voice("qwen-voice-design", action="list", **given)) == INVALID


async def test_a_voice_can_be_asked_about_until_it_is_deleted() -> None:
    """After that it is missing, and speaks no more; deleting bills nothing."""
    async with calling() as caller:
        voice = (await caller.design()).json()["output"]["voice"]
        asked = await caller.voice("qwen-voice-design", action="query", voice=voice)
        assert asked.json()["output"]["voice_prompt"] == "A calm narrator."
        other = await caller.voice("qwen-voice-enrollment", action="query", voice=voice)
        assert refusal(other) == _MISSING
        gone = await caller.voice("qwen-voice-design", action="delete", voice=voice)
        assert (gone.status_code, set(gone.json())) == (200, {"usage", "request_id"})
        assert gone.json()["usage"] == {"count": 0}
        for action in ("query", "delete"):
            again = await caller.voice("qwen-voice-design", action=action, voice=voice)
            assert refusal(again) == _MISSING
        assert refusal(await caller.say(model=VD, voice=voice)) == INVALID
    assert len(caller.fake.ledger.accepted) == 1


async def test_the_account_has_a_quota() -> None:
    """A full account refuses every kind of new voice with 400, and takes one again after a delete."""
    full = (400, "Throttling.AllocationQuota")
    async with calling(max_voices=1) as caller:
        voice = (await caller.clone()).json()["output"]["voice"]
        assert refusal(await caller.design()) == full
        assert refusal(await caller.clone()) == full
        create = {"target_model": "cosyvoice-v2", "prefix": "a", "url": "https://example.com/a.wav"}
        assert refusal(await caller.cosy("create_voice", **create)) == full
        assert len(caller.fake.ledger.accepted) == 1
        await caller.voice("qwen-voice-enrollment", action="delete", voice=voice)
        assert (await caller.design()).status_code == 200


async def test_an_unknown_model_is_not_found() -> None:
    """Only the three models of the route are known."""
    async with calling() as caller:
        assert refusal(await caller.voice("qwen-tts", action="list")) == (404, "ModelNotFound")
