"""What is sent to a Modal deployment, to the byte, and what is refused before."""

import base64
import json
from dataclasses import replace
from threading import get_ident

import httpx
import pytest

from tests.providers.modal_recordings import (
    CLIP,
    DESIGN_URL,
    HANDLE_QUERY,
    JOB_ID,
    KEY,
    RESULT_URL,
    SECRET,
    STATUS_URL,
    SUBMIT_URL,
    SUBMITTED,
    TEXT,
    TRANSCRIPT,
    Scripted,
    answer,
    draft,
    modal_request,
    modal_voice,
    provider_over,
)
from ttsorch.errors import ProviderInvalid, ValidationError
from ttsorch.models import Attempt, JsonValue, SpeechRequest
from ttsorch.providers._modal import requests
from ttsorch.providers._modal.settings import ModalSettings, checked_settings


def _settings(
    *, status_url: str = STATUS_URL, result_url: str = RESULT_URL, token: bool = True
) -> ModalSettings:
    return checked_settings(
        submit_url=SUBMIT_URL,
        status_url=status_url,
        result_url=result_url,
        cancel_url=None,
        design_url=DESIGN_URL,
        key=KEY if token else None,
        secret=SECRET if token else None,
    )


def _payload(request: httpx.Request) -> object:
    return json.loads(request.content)


# --- submit -------------------------------------------------------------------------------------------


def test_a_submit_carries_the_text_and_the_voice() -> None:
    """The five fields of the endpoint, with the clip in base64."""
    request = requests.build_submit(_settings(), modal_request(), max_new_tokens=2048)
    assert (request.method, str(request.url)) == ("POST", SUBMIT_URL)
    assert _payload(request) == {
        "text": TEXT,
        "language": "English",
        "ref_audio_base64": base64.b64encode(CLIP).decode(),
        "ref_text": TRANSCRIPT,
        "max_new_tokens": 2048,
    }


def test_the_language_may_be_left_to_modal() -> None:
    """ "Auto" is a word that the endpoint knows."""
    automatic = replace(modal_request(), language="Auto")
    payload = _payload(requests.build_submit(_settings(), automatic, max_new_tokens=2048))
    assert isinstance(payload, dict)
    assert payload["language"] == "Auto"


@pytest.mark.parametrize(
    ("typed", "sent"), [("english", "English"), ("ENGLISH", "English"), ("auto", "Auto")]
)
def test_a_language_goes_out_as_the_worker_spells_it(typed: str, sent: str) -> None:
    """Nobody looks at it before the job has been started, and then it fails."""
    asked = replace(modal_request(), language=typed)
    payload = _payload(requests.build_submit(_settings(), asked, max_new_tokens=2048))
    assert isinstance(payload, dict)
    assert payload["language"] == sent


def test_a_designs_language_goes_out_as_the_worker_spells_it() -> None:
    """The design endpoint knows one spelling too."""
    payload = _payload(requests.build_design(_settings(), DESIGN_URL, draft("german")))
    assert isinstance(payload, dict)
    assert payload["language"] == "German"


@pytest.mark.anyio
async def test_a_submit_is_written_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clip may have 10 MiB, and becomes base64 inside JSON."""
    threads: list[int] = []

    def build(
        settings: ModalSettings, request: SpeechRequest, *, max_new_tokens: int
    ) -> httpx.Request:
        threads.append(get_ident())
        return build_submit(settings, request, max_new_tokens=max_new_tokens)

    build_submit = requests.build_submit
    monkeypatch.setattr(requests, "build_submit", build)
    transport = Scripted([answer(200, SUBMITTED)])
    await provider_over(transport).submit(modal_request(), Attempt("key"))
    assert len(threads) == len(transport.asked) == 1
    assert get_ident() not in threads


@pytest.mark.parametrize("tokens", [256, 512, 4096])
def test_a_request_may_choose_its_tokens(tokens: int) -> None:
    """``max_new_tokens`` of a request goes before the provider's own."""
    requests.check_expressible(modal_request(max_new_tokens=tokens))
    payload = _payload(
        requests.build_submit(
            _settings(), modal_request(max_new_tokens=tokens), max_new_tokens=2048
        )
    )
    assert isinstance(payload, dict)
    assert payload["max_new_tokens"] == tokens


def test_the_proxy_token_goes_along() -> None:
    """Every request carries the two headers, if there is a token."""
    settings = _settings()
    built = [
        requests.build_submit(settings, modal_request(), max_new_tokens=2048),
        requests.build_status(settings, JOB_ID),
        requests.build_cancel(settings, "https://cancel.example/", JOB_ID),
        requests.build_design(settings, DESIGN_URL, draft()),
        requests.build_reread(settings, f"{DESIGN_URL}?{HANDLE_QUERY}"),
    ]
    for request in built:
        assert (request.headers["modal-key"], request.headers["modal-secret"]) == (KEY, SECRET)


def test_a_public_endpoint_gets_no_token() -> None:
    """Without a token there are no such headers."""
    request = requests.build_status(_settings(token=False), JOB_ID)
    assert not {"modal-key", "modal-secret", "authorization"} & set(request.headers)


# --- the others ---------------------------------------------------------------------------------------


def test_a_status_is_asked_for_by_id() -> None:
    """One query parameter, percent-encoded, beside those that the configured URL has."""
    settings = _settings(status_url=f"{STATUS_URL}?env=dev")
    request = requests.build_status(settings, "fc:1")
    assert (request.method, str(request.url)) == ("GET", f"{STATUS_URL}?env=dev&job_id=fc%3A1")


def test_a_result_is_fetched_by_id() -> None:
    """The same for the result's URL."""
    settings = _settings(result_url=f"{RESULT_URL}?env=dev")
    assert requests.build_result_url(settings, JOB_ID) == f"{RESULT_URL}?env=dev&job_id={JOB_ID}"


def test_a_cancel_is_a_post_with_the_id() -> None:
    """The id is in the body."""
    request = requests.build_cancel(_settings(), "https://cancel.example/", JOB_ID)
    assert (request.method, _payload(request)) == ("POST", {"job_id": JOB_ID})


def test_a_design_carries_the_preview_and_the_description() -> None:
    """The three fields of the endpoint."""
    request = requests.build_design(_settings(), DESIGN_URL, draft("German"))
    assert (request.method, str(request.url)) == ("POST", DESIGN_URL)
    assert _payload(request) == {
        "text": "A preview text.",
        "instruct": "An old sea captain.",
        "language": "German",
    }


@pytest.mark.parametrize("language", ["Auto", "auto"])
def test_a_design_without_a_language_leaves_it_out(language: str) -> None:
    """The design endpoint has a default, and no "Auto"."""
    request = requests.build_design(_settings(), DESIGN_URL, draft(language))
    assert "language" not in request.content.decode()


def test_a_handle_is_re_read_by_get() -> None:
    """As it is, with no body: a POST there is refused."""
    handle = f"{DESIGN_URL}?{HANDLE_QUERY}"
    request = requests.build_reread(_settings(), handle)
    assert (request.method, str(request.url), request.content) == ("GET", handle, b"")


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("transcript", [None, "", " \n"])
def test_a_voice_needs_its_transcript(transcript: str | None) -> None:
    """The contract's sentence, before the one about the audio."""
    request = replace(
        modal_request(), voice=modal_voice(transcript=transcript, audio_key=None), clip=None
    )
    with pytest.raises(ValidationError) as refused:
        requests.check_expressible(request)
    assert refused.value.message == (
        "This voice has no reference transcript. Re-clone with a transcript to use Qwen3-TTS."
    )
    assert (refused.value.code, refused.value.http_status) == ("voice_transcript_missing", 400)


def test_a_voice_needs_its_recording() -> None:
    """The contract's sentence for a voice without a clip."""
    request = replace(modal_request(bad=1), voice=modal_voice(audio_key=None), clip=None)
    with pytest.raises(ValidationError) as refused:
        requests.check_expressible(request)
    assert refused.value.message == "Voice has no reference audio."
    assert (refused.value.code, refused.value.http_status) == ("voice_audio_missing", 400)


def test_a_recording_may_still_be_in_the_blob_store() -> None:
    """A request is checked before its clip is read."""
    requests.check_expressible(replace(modal_request(), clip=None))


def test_a_recording_may_be_in_hand_only() -> None:
    """Who holds the clip needs no blob store."""
    requests.check_expressible(replace(modal_request(), voice=modal_voice(audio_key=None)))


def test_an_option_that_the_endpoint_lacks_is_refused() -> None:
    """There is nowhere to put it."""
    with pytest.raises(ValidationError) as refused:
        requests.check_expressible(modal_request(speed=1.5))
    assert (refused.value.code, refused.value.field) == ("param_unknown", "speed")


@pytest.mark.parametrize("value", [255, 4097, True, 512.0, "512", None])
def test_tokens_have_a_range(value: JsonValue) -> None:
    """A whole number from 256 to 4096, and nothing that only looks like one."""
    with pytest.raises(ValidationError) as refused:
        requests.check_expressible(modal_request(max_new_tokens=value))
    assert (refused.value.code, refused.value.field) == ("param_invalid", "max_new_tokens")
    assert "256 to 4096" in refused.value.message


@pytest.mark.anyio
async def test_a_submit_without_its_clip_is_never_sent() -> None:
    """A request whose clip was not read is refused, certainly not started."""
    transport = Scripted([])
    with pytest.raises(ProviderInvalid) as refused:
        await provider_over(transport).submit(replace(modal_request(), clip=None), Attempt("key"))
    assert (refused.value.code, refused.value.ambiguous) == ("voice_audio_missing", False)
    assert (refused.value.__cause__, refused.value.__context__) == (None, None)
    assert not transport.asked


def test_a_request_is_checked_before_anything_is_written() -> None:
    """The provider's own check says what a submit would say."""
    provider = provider_over(Scripted([]))
    provider.check_request(modal_request())
    with pytest.raises(ValidationError, match="Unknown option 'speed'"):
        provider.check_request(modal_request(speed=2))
