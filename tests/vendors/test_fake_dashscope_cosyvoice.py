"""The fake DashScope's other vocabulary for voices, which are deployed after they were made."""

import base64
import re

import pytest

from tests.vendors.dashscope_calls import INVALID, SPEECH, calling, refusal
from ttsorch.testing.speakers import tone_speaker

pytestmark = pytest.mark.anyio

_CREATE = {
    "target_model": "cosyvoice-v3-plus",
    "prefix": "carol",
    "url": "https://example.com/clip.wav",
}


async def test_a_voice_is_deployed_after_a_while() -> None:
    """It is DEPLOYING for as many answers as told, then OK; before that it doesn't speak."""
    async with calling() as caller:
        caller.fake.switches.deploying_answers = 2
        made = await caller.cosy("create_voice", **_CREATE)
        voice = made.json()["output"]["voice_id"]
        assert re.fullmatch(r"cosyvoice-v3-plus-carol-[0-9a-f]{32}", voice)
        assert made.json()["usage"] == {"count": 1}
        given = {"text": "Hi.", "voice": voice}
        body = {"model": "cosyvoice-v3-plus", "input": given}
        assert refusal(await caller.post(SPEECH, body)) == INVALID
        answers = [await caller.cosy("query_voice", voice_id=voice) for _ in range(3)]
        states = [answer.json()["output"]["status"] for answer in answers]
        assert states == ["DEPLOYING", "DEPLOYING", "OK"]
        assert answers[0].json()["output"]["resource_link"] == _CREATE["url"]
        assert (await caller.post(SPEECH, body)).status_code == 200
        other = {"model": "cosyvoice-v3-flash", "input": given}
        assert refusal(await caller.post(SPEECH, other)) == INVALID
    assert [job.kind for job in caller.fake.ledger.accepted] == ["clone", "synthesis"]


async def test_a_voice_may_be_turned_down() -> None:
    """The review ends in UNDEPLOYED, and the voice never speaks."""
    async with calling() as caller:
        caller.fake.switches.deploying_answers = 0
        caller.fake.switches.undeployed = True
        made = await caller.cosy("create_voice", **_CREATE)
        voice = made.json()["output"]["voice_id"]
        asked = await caller.cosy("query_voice", voice_id=voice)
        assert asked.json()["output"]["status"] == "UNDEPLOYED"
        body = {"model": "cosyvoice-v3-plus", "input": {"text": "Hi.", "voice": voice}}
        assert refusal(await caller.post(SPEECH, body)) == INVALID


async def test_an_update_deploys_again() -> None:
    """The voice keeps its id, has another clip, and isn't ready for a while."""
    async with calling() as caller:
        made = await caller.cosy("create_voice", **_CREATE)
        voice = made.json()["output"]["voice_id"]
        await caller.cosy("list_voice")
        link = "https://example.com/other.wav"
        updated = await caller.cosy("update_voice", voice_id=voice, url=link)
        assert updated.json()["output"] == {}
        asked = (await caller.cosy("query_voice", voice_id=voice)).json()["output"]
    assert (asked["status"], asked["resource_link"]) == ("DEPLOYING", link)


async def test_voices_are_listed_by_prefix() -> None:
    """A list has the ids, and steps their deployment on; Qwen voices aren't in it."""
    async with calling() as caller:
        await caller.clone()
        await caller.cosy("create_voice", **_CREATE)
        await caller.cosy("create_voice", **{**_CREATE, "prefix": "dave"})
        listed = await caller.cosy("list_voice", prefix="dave", page_index=0, page_size=5)
        [voice] = listed.json()["output"]["voice_list"]
        assert voice["voice_id"].startswith("cosyvoice-v3-plus-dave-")
        assert voice["status"] == "DEPLOYING"
        everything = (await caller.cosy("list_voice")).json()["output"]["voice_list"]
    assert [v["status"] for v in everything] == ["DEPLOYING", "OK"]


async def test_a_voice_that_is_gone_is_missing() -> None:
    """After a delete each action on it is 400 ``BadRequest.ResourceNotExist``."""
    async with calling() as caller:
        made = await caller.cosy("create_voice", **_CREATE)
        voice = made.json()["output"]["voice_id"]
        assert (await caller.cosy("delete_voice", voice_id=voice)).json()["output"] == {}
        for action in ("query_voice", "update_voice", "delete_voice"):
            missing = await caller.cosy(action, voice_id=voice, url=_CREATE["url"])
            assert refusal(missing) == (400, "BadRequest.ResourceNotExist")


async def test_a_voice_can_be_designed() -> None:
    """With a prompt instead of a clip the answer has a preview, and the bill a design."""
    async with calling() as caller:
        made = await caller.cosy(
            "create_voice",
            target_model="qwen-audio-3.0-tts-plus",
            prefix="eve",
            voice_prompt="Deep.",
            preview_text="Hi.",
        )
        preview = made.json()["output"]["preview_audio"]
    assert base64.b64decode(preview["data"]) == await tone_speaker("Hi.")
    assert caller.fake.ledger.accepted_texts("design") == ["Deep."]


@pytest.mark.parametrize(
    "given",
    [
        {"target_model": "qwen3-tts-vc-2026-01-22"},
        {"prefix": "elevenchars"},
        {"prefix": "a_b"},
        {"url": "ftp://example.com/a.wav"},
        {"url": None},
        {"action": "create"},
    ],
)
async def test_a_bad_voice_is_refused(given: dict[str, object]) -> None:
    """Models, prefixes and addresses have their rules."""
    async with calling() as caller:
        asked = {"action": "create_voice", **_CREATE, **given}
        assert refusal(await caller.voice("voice-enrollment", **asked)) == INVALID
    assert caller.fake.ledger.accepted == []
