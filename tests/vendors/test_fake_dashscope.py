"""The fake DashScope: its synthesis routes, and how it is found."""

import os
import re
import signal
import subprocess
import sys

import httpx
import pytest

from tests.vendors.dashscope_calls import (
    INVALID,
    KEY,
    QWEN,
    SPEECH,
    START,
    VOICES,
    calling,
    refusal,
)
from ttsorch.testing.fake_dashscope import fake_dashscope
from ttsorch.testing.speakers import tone_speaker

_DAY = 24 * 60 * 60


@pytest.mark.anyio
class TestSynthesis:
    """What a good request gets."""

    async def test_a_success_has_the_documented_form(self) -> None:
        """Audio is a URL, an id and a time in a day; billed characters and the request id come along."""
        async with calling() as caller:
            response = await caller.say("Hello.", language_type="English")
            payload = response.json()
            audio = payload["output"].pop("audio")
            assert response.status_code == 200
            assert payload == {
                "request_id": response.headers["x-request-id"],
                "output": {"text": None, "finish_reason": "stop", "choices": None},
                "usage": {"characters": 6},
            }
            assert set(audio) == {"data", "url", "id", "expires_at"}
            assert audio["data"] == ""
            assert audio["expires_at"] == int(START.timestamp()) + _DAY
            assert audio["url"].startswith(f"{caller.fake.url}/results/{audio['id']}.wav?Expires=")

    async def test_the_url_leads_to_what_the_speaker_said(self) -> None:
        """The result is the speaker's audio for exactly this text."""
        async with calling() as caller:
            response = await caller.say("One. Two.")
            audio = await caller.http.get(response.json()["output"]["audio"]["url"])
        assert audio.content == await tone_speaker("One. Two.")
        assert audio.headers["content-type"] == "audio/wav"

    async def test_a_han_character_is_billed_as_two(self) -> None:
        """``usage.characters`` counts Han twice, everything else once."""
        async with calling() as caller:
            response = await caller.say("你好, A!")
        assert response.json()["usage"] == {"characters": 8}

    async def test_old_models_bill_tokens(self) -> None:
        """The legacy family reports tokens instead of characters."""
        async with calling() as caller:
            response = await caller.say("Hello.", model="qwen-tts-latest")
        assert set(response.json()["usage"]) == {"input_tokens", "output_tokens", "total_tokens"}

    async def test_the_other_family_has_the_same_answer_on_its_own_route(self) -> None:
        """Qwen-Audio and CosyVoice models speak at SpeechSynthesizer, whatever format was asked for."""
        async with calling() as caller:
            for model in ("qwen-audio-3.1-tts-flash", "cosyvoice-v3-flash"):
                given = {"text": "Hi.", "voice": "Cherry", "format": "mp3", "sample_rate": 48_000}
                response = await caller.post(SPEECH, {"model": model, "input": given})
                audio = response.json()["output"]["audio"]
                assert set(audio) == {"data", "url", "id", "expires_at"}
        assert caller.fake.ledger.accepted_texts() == ["Hi.", "Hi."]

    async def test_instructions_are_for_the_instruct_models(self) -> None:
        """They work with the one, which has voices of its own, and are refused by the other."""
        async with calling() as caller:
            model = "qwen3-tts-instruct-flash"
            taken = await caller.say(
                model=model, voice="Mia", instructions="Whisper.", optimize_instructions=True
            )
            assert taken.status_code == 200
            assert refusal(await caller.say(instructions="Whisper.")) == INVALID

    async def test_the_answer_can_look_like_the_vendor_s_samples(self) -> None:
        """With ``doc_style`` a success carries a status and an empty code and message."""
        async with calling() as caller:
            caller.fake.switches.doc_style = True
            payload = (await caller.say()).json()
        assert (payload["status_code"], payload["code"], payload["message"]) == (200, "", "")


@pytest.mark.anyio
class TestRefusals:
    """What a bad request gets. None of them is billed."""

    @pytest.mark.parametrize("header", ["", "Bearer sk-other", f"Basic {KEY}", KEY])
    async def test_a_wrong_key_is_refused_everywhere(self, header: str) -> None:
        """Each route answers 401 ``InvalidApiKey``."""
        async with calling() as caller:
            for path in (QWEN, SPEECH, VOICES):
                response = await caller.post(path, {}, Authorization=header)
                assert refusal(response) == (401, "InvalidApiKey")
        assert caller.fake.ledger.submits == 0

    async def test_an_asynchronous_call_is_refused(self) -> None:
        """``X-DashScope-Async`` gets 403 ``AccessDenied``, with a message that says why."""
        async with calling() as caller:
            body = {"model": "qwen3-tts-flash", "input": {"text": "Hi.", "voice": "Cherry"}}
            response = await caller.post(QWEN, body, X_DashScope_Async="enable")
        assert refusal(response) == (403, "AccessDenied")
        assert "asynchronous" in response.json()["message"]
        assert caller.fake.ledger.accepted == []

    @pytest.mark.parametrize("path", [QWEN, SPEECH])
    async def test_an_unknown_model_is_not_found(self, path: str) -> None:
        """A model that neither family has is 404 ``ModelNotFound``."""
        async with calling() as caller:
            body = {"model": "qwen9-tts", "input": {"text": "Hi.", "voice": "Cherry"}}
            assert refusal(await caller.post(path, body)) == (404, "ModelNotFound")

    async def test_a_model_at_the_other_family_s_route_is_refused(self) -> None:
        """Each model works at its own route only."""
        async with calling() as caller:
            given = {"text": "Hi.", "voice": "Cherry"}
            for path, model in ((QWEN, "cosyvoice-v2"), (SPEECH, "qwen3-tts-flash")):
                body = {"model": model, "input": given}
                assert refusal(await caller.post(path, body)) == INVALID

    @pytest.mark.parametrize(
        "given",
        [
            {"text": ""},
            {"text": " \n"},
            {"text": None},
            {"text": "a" * 601},
            {"voice": "Nobody"},
            {"voice": None},
            {"voice": "Mia"},
            {"language_type": "Klingon"},
        ],
    )
    async def test_a_bad_parameter_is_refused(self, given: dict[str, object]) -> None:
        """Empty and too long texts, unknown voices and languages are 400 ``InvalidParameter``."""
        async with calling() as caller:
            body = {
                "model": "qwen3-tts-flash",
                "input": {"text": "Hi.", "voice": "Cherry", **given},
            }
            assert refusal(await caller.post(QWEN, body)) == INVALID
        assert caller.fake.ledger.accepted == []
        assert caller.fake.ledger.submits == 1

    @pytest.mark.parametrize("given", [{"format": "flac"}, {"sample_rate": 96_000}])
    async def test_a_bad_format_is_refused(self, given: dict[str, object]) -> None:
        """SpeechSynthesizer knows four formats, and rates from 8 to 48 kHz."""
        async with calling() as caller:
            body = {"model": "cosyvoice-v2", "input": {"text": "Hi.", "voice": "Cherry", **given}}
            assert refusal(await caller.post(SPEECH, body)) == INVALID

    async def test_the_longest_text_is_taken(self) -> None:
        """600 characters pass, of whatever script; a smaller limit may be set."""
        async with calling() as caller:
            assert (await caller.say("好" * 600)).status_code == 200
        async with calling(max_chars=5) as caller:
            assert refusal(await caller.say("123456")) == INVALID

    @pytest.mark.parametrize("body", [[], "text", {"model": "qwen3-tts-flash"}, {"input": {}}])
    async def test_a_body_of_another_shape_is_refused(self, body: object) -> None:
        """Anything but an object with ``model`` and ``input`` is 400."""
        async with calling() as caller:
            assert refusal(await caller.post(QWEN, body)) == INVALID

    async def test_a_body_that_is_no_json_is_refused(self) -> None:
        """A broken body is 400 as well."""
        async with calling() as caller:
            headers = {"Authorization": f"Bearer {KEY}"}
            url = f"{caller.fake.url}{QWEN}"
            response = await caller.http.post(url, content=b"\xff{", headers=headers)
        assert refusal(response) == INVALID

    async def test_other_paths_and_methods_are_refused(self) -> None:
        """There is no task API for speech, and nothing to GET."""
        async with calling() as caller:
            headers = {"Authorization": f"Bearer {KEY}"}
            url = caller.fake.url
            task = await caller.http.get(f"{url}/api/v1/tasks/1", headers=headers)
            assert refusal(task) == (404, "NotFound")
            assert (await caller.http.get(f"{url}{QWEN}", headers=headers)).status_code == 405


@pytest.mark.anyio
class TestAddress:
    """How a client is told where the fake is."""

    async def test_the_environment_has_all_that_a_client_needs(self) -> None:
        """The key, the origin, and the host that results come from."""
        async with fake_dashscope(api_key=KEY, speak=tone_speaker, port=0) as dashscope:
            assert dashscope.environ() == {
                "DASHSCOPE_API_KEY": KEY,
                "DASHSCOPE_BASE_URL": dashscope.url,
                "TTSORCH_RESULT_HOSTS": f"127.0.0.1:{dashscope.server.port}",
            }
            assert dashscope.url == f"http://127.0.0.1:{dashscope.server.port}"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_stop(stop: signal.Signals) -> None:
    """It says how to reach it, answers there, and leaves quietly on a signal."""
    command = [sys.executable, "-m", "ttsorch.testing.fake_dashscope", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        matches = [re.fullmatch(r"export ([A-Z_]+)=(\S+)\n", line) for line in lines]
        given = {match[1]: match[2] for match in matches if match}
        body = {"model": "qwen3-tts-flash", "input": {"text": "Hi.", "voice": "Cherry"}}
        headers = {"Authorization": f"Bearer {given['DASHSCOPE_API_KEY']}"}
        with httpx.Client(trust_env=False, timeout=20) as http:
            url = f"{given['DASHSCOPE_BASE_URL']}{QWEN}"
            answer = http.post(url, json=body, headers=headers)
            assert answer.status_code == 200
        process.send_signal(stop)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert given["DASHSCOPE_BASE_URL"] == f"http://{given['TTSORCH_RESULT_HOSTS']}"
