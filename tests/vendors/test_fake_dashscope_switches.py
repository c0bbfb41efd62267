"""The fake DashScope's failures on demand, and what its ledger says about them."""

import anyio
import httpx
import pytest

from tests.vendors.dashscope_calls import calling, refusal
from ttsorch.testing.fake_dashscope import Throttle
from ttsorch.testing.speakers import tone_speaker
from ttsorch.testing.vendor_server import WireFault

pytestmark = pytest.mark.anyio


async def test_the_next_calls_fail_as_told() -> None:
    """Each entry is used once, in order, headers and all; None lets one call pass; nothing is billed."""
    async with calling() as caller:
        caller.fake.switches.fail_next.extend(
            [
                (500, "RequestTimeOut", "Request timed out."),
                None,
                (503, "ModelUnavailable", "Busy.", {"retry-after": "7"}),
            ]
        )
        assert refusal(await caller.say("a")) == (500, "RequestTimeOut")
        assert (await caller.say("b")).status_code == 200
        response = await caller.clone()
        assert refusal(response) == (503, "ModelUnavailable")
        assert response.headers["retry-after"] == "7"
        assert (await caller.say("c")).status_code == 200
    assert caller.fake.ledger.accepted_texts() == ["b", "c"]
    assert caller.fake.ledger.submits == 4
    assert caller.fake.voices == {}


async def test_a_failure_may_come_with_status_200() -> None:
    """The body of such an answer has a code, and no output; nothing is billed."""
    async with calling() as caller:
        caller.fake.switches.ok_with_code.append(("DataInspectionFailed", "Unsafe."))
        assert refusal(await caller.say()) == (200, "DataInspectionFailed")
        assert (await caller.say()).json()["output"]
    assert len(caller.fake.ledger.accepted) == 1


async def test_the_two_429s_differ_in_code_and_text() -> None:
    """One is a rate, the other the end of the free quota."""
    async with calling() as caller:
        caller.fake.switches.throttle.extend([Throttle.RATE, Throttle.FREE_QUOTA])
        assert refusal(await caller.say()) == (429, "Throttling.RateQuota")
        response = await caller.say()
        assert refusal(response) == (429, "Throttling.AllocationQuota")
        assert "free allocated quota" in response.json()["message"].lower()
        assert (await caller.say()).status_code == 200


async def test_a_full_voice_storage_waits_for_a_new_voice() -> None:
    """It stops neither a synthesis nor a list, only what makes a voice, with 400."""
    async with calling() as caller:
        caller.fake.switches.throttle.append(Throttle.VOICE_STORAGE)
        assert (await caller.say()).status_code == 200
        listed = await caller.voice("qwen-voice-enrollment", action="list")
        assert listed.status_code == 200
        assert refusal(await caller.clone()) == (400, "Throttling.AllocationQuota")
        assert (await caller.clone()).status_code == 200
        caller.fake.switches.throttle.append(Throttle.VOICE_STORAGE)
        other = await caller.cosy("create_voice")
        assert refusal(other) == (400, "Throttling.AllocationQuota")
    assert caller.fake.ledger.submits == 4, "a list asks for no work"


async def test_a_success_may_lack_its_url() -> None:
    """The work was done and billed all the same."""
    async with calling() as caller:
        caller.fake.switches.no_url = 1
        assert "url" not in (await caller.say()).json()["output"]["audio"]
        assert "url" in (await caller.say()).json()["output"]["audio"]
    assert len(caller.fake.ledger.accepted) == 2


async def test_a_failure_may_follow_the_work() -> None:
    """The vendor bills what it did, and answers with an error; a list isn't such work."""
    async with calling() as caller:
        late = (504, "GatewayTimeout", "Timed out.")
        caller.fake.switches.fail_after_work.extend([late, late])
        assert (await caller.voice("qwen-voice-design", action="list")).status_code == 200
        assert refusal(await caller.say("a")) == (504, "GatewayTimeout")
        assert refusal(await caller.clone()) == (504, "GatewayTimeout")
    assert [job.kind for job in caller.fake.ledger.accepted] == ["synthesis", "clone"]
    assert len(caller.fake.voices) == 1


async def test_a_speaker_that_fails_is_the_vendor_s_failure() -> None:
    """It is a 500 ``InternalError.Algo``, unbilled, and the error is kept for the test to see."""

    async def mute(text: str) -> bytes:
        raise OSError("no voice today")

    async with calling(speak=mute) as caller:
        assert refusal(await caller.say()) == (500, "InternalError.Algo")
        assert [str(error) for error in caller.fake.server.failures] == ["no voice today"]
    assert caller.fake.ledger.accepted == []


async def test_work_whose_answer_is_lost_is_billed() -> None:
    """The connection breaks before the answer; the ledger has the job."""
    async with calling() as caller:
        caller.fake.server.faults.append(WireFault(lose_reply=True))
        with pytest.raises(httpx.TransportError):
            await caller.say("lost")
    assert caller.fake.ledger.accepted_texts() == ["lost"]


async def test_work_goes_on_when_the_client_leaves() -> None:
    """A synthesis that nobody waits for any more is done, and billed."""
    begun, go_on, done = anyio.Event(), anyio.Event(), anyio.Event()

    async def slow(text: str) -> bytes:
        begun.set()
        await go_on.wait()
        done.set()
        return await tone_speaker(text)

    async with calling(speak=slow) as caller, anyio.create_task_group() as group:
        group.start_soon(caller.say, "abandoned")
        with anyio.fail_after(10):
            await begun.wait()
            group.cancel_scope.cancel()
            go_on.set()
            with anyio.CancelScope(shield=True):
                await done.wait()
    assert caller.fake.ledger.accepted_texts() == ["abandoned"]
