"""What becomes of a design: the preview in hand, or the handle under which Modal keeps it."""

import httpx
import pytest

from tests.providers.modal_recordings import (
    DESIGN_URL,
    HANDLE_QUERY,
    JOB_ID,
    KEY,
    SUBMIT_URL,
    Scripted,
    answer,
    draft,
    provider_over,
    see_other,
    speech_wav,
)
from ttsorch.errors import ProviderUnavailable
from ttsorch.models import (
    Accepted,
    Attempt,
    CheckResult,
    JsonValue,
    Ready,
    Running,
)

pytestmark = pytest.mark.anyio

ATTEMPT = Attempt("key")
TICKET = {"job_id": JOB_ID}
SUBMIT_HANDLE = f"{SUBMIT_URL}?{HANDLE_QUERY}"
DESIGN_HANDLE = f"{DESIGN_URL}?{HANDLE_QUERY}"


async def _heard(ready: CheckResult | Accepted) -> bytes:
    assert isinstance(ready, Ready)
    assert ready.audio is not None
    async with ready.audio as stream:
        assert stream.content_type == "audio/wav"
        return b"".join([chunk async for chunk in stream.chunks])


async def test_a_quick_design_is_the_preview_itself() -> None:
    """The audio is in hand; no voice is made, and nothing can be fetched again."""
    transport = Scripted([answer(200, speech_wav(), {"content-type": "audio/wav"})])
    ready = await provider_over(transport).design(draft(), ATTEMPT)
    assert isinstance(ready, Ready)
    assert (ready.envelope, ready.voice) == (None, None)
    assert await _heard(ready) == speech_wav()


async def test_a_preview_may_be_larger_than_any_other_answer() -> None:
    """A minute of sound is 3 MB, in the answer to the design and to the check alike."""
    minute = speech_wav(60)
    provider = provider_over(Scripted([answer(200, minute), answer(200, minute)]))
    designed = await provider.design(draft(), ATTEMPT)
    assert isinstance(designed, Ready)
    assert await _heard(designed) == minute
    assert await _heard(await provider.check({"design_url": DESIGN_HANDLE})) == minute


async def test_a_slow_design_is_a_ticket() -> None:
    """The handle, as an absolute URL on the same origin; it is not followed."""
    transport = Scripted([see_other(f"/?{HANDLE_QUERY}")])
    accepted = await provider_over(transport).design(draft(), ATTEMPT)
    assert accepted == Accepted({"design_url": DESIGN_HANDLE})
    assert len(transport.asked) == 1


@pytest.mark.parametrize("location", ["https://evil.example/", "http://localhost/", "ftp://x/"])
async def test_a_design_that_leads_elsewhere_is_an_unknown_outcome(location: str) -> None:
    """Never followed, and never kept."""
    transport = Scripted([see_other(location)])
    with pytest.raises(ProviderUnavailable) as unknown:
        await provider_over(transport).design(draft(), ATTEMPT)
    assert unknown.value.ambiguous
    assert len(transport.asked) == 1


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'{"detail":"ok"}', b"RIFF1234AVI "])
async def test_a_design_that_is_no_recording_is_an_unknown_outcome(body: bytes) -> None:
    """Whatever its type says: a 200 is not speech."""
    transport = Scripted([answer(200, body, {"content-type": "audio/wav"})])
    with pytest.raises(ProviderUnavailable) as unknown:
        await provider_over(transport).design(draft(), ATTEMPT)
    assert unknown.value.ambiguous


async def test_a_design_ticket_is_re_read() -> None:
    """When the answer is there, it is in hand, with the handle as the way back."""
    transport = Scripted([answer(200, speech_wav())])
    ready = await provider_over(transport).check({"design_url": DESIGN_HANDLE})
    assert isinstance(ready, Ready)
    assert ready.envelope == {"design_url": DESIGN_HANDLE}
    assert await _heard(ready) == speech_wav()
    (request,) = transport.asked
    assert (request.method, str(request.url)) == ("GET", DESIGN_HANDLE)
    assert request.headers["modal-key"] == KEY
    assert request.extensions["timeout"]["read"] == 5


@pytest.mark.parametrize(
    "response",
    [
        see_other(DESIGN_HANDLE),
        see_other("https://evil.example/"),
        answer(202),
        answer(408),
        httpx.ReadTimeout("silent"),
    ],
)
async def test_a_design_that_is_not_done_is_running(response: httpx.Response | Exception) -> None:
    """Modal waits before it answers; a silence is as good as a redirect, and neither is followed."""
    transport = Scripted([response])
    answered = await provider_over(transport).check({"design_url": DESIGN_HANDLE})
    assert answered == Running("provider_synthesizing")
    assert len(transport.asked) == 1


async def test_a_design_that_cannot_be_asked_about_is_raised() -> None:
    """A refused connection isn't a silence."""
    provider = provider_over(Scripted([httpx.ConnectError("refused")]))
    with pytest.raises(ProviderUnavailable):
        await provider.check({"design_url": DESIGN_HANDLE})


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"job_id":"fc-1"}'])
async def test_a_preview_that_is_no_recording_is_no_answer(body: bytes) -> None:
    """A page with a 200 doesn't end the task."""
    with pytest.raises(ProviderUnavailable):
        await provider_over(Scripted([answer(200, body)])).check({"design_url": DESIGN_HANDLE})


@pytest.mark.parametrize(
    "handle",
    ["https://evil.example/?x=1", SUBMIT_HANDLE, "http://127.0.0.1/", "not a url", 7, None],
)
async def test_a_handle_on_another_origin_gets_no_token(handle: JsonValue) -> None:
    """A row may be older than the configuration: nothing is sent to where it points."""
    transport = Scripted([])
    provider = provider_over(transport)
    with pytest.raises(ProviderUnavailable):
        await provider.check({"design_url": handle})
    with pytest.raises(ProviderUnavailable):
        async with provider.fetch({"design_url": handle}):
            pass
    assert not transport.asked
