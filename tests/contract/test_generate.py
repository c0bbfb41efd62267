"""POST /api/generate: every refusal in its exact words and order, and what a job's first answer says."""

import json
from collections.abc import AsyncGenerator

import anyio
import pytest

from tests.contract.world import A_CLONE, A_DESIGN, MISSING_ID, VOICE, World, a_world
from ttsorch.contract import HttpRequest, bodies
from ttsorch.contract.generate import estimated_minutes
from ttsorch.errors import ProviderRejected, ProviderUnavailable
from ttsorch.models import Capabilities, Limits, Voice, VoiceSource
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider, lost_reply
from ttsorch.testing.speech import tone_wav

pytestmark = pytest.mark.anyio

SELECT = (400, "Please select a voice")
BAD_ID = (400, "Invalid voice_id")
ENTER = (400, "Please enter text to speak")
NOT_JSON = (400, "Invalid JSON body")
UNSPEAKABLE = (400, "Text contains characters that cannot be spoken.")
NO_VOICE = (404, "Voice not found")
TOO_LONG = (400, "Text cannot exceed 10 characters")

SMALL = Capabilities(max_text_chars=10)


async def _generate(world: World, **fields: object) -> tuple[int, object]:
    answer = await world.ask("POST", "/api/generate", send=fields)
    return answer.status, answer.detail if answer.status != 200 else None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{'text': 1}",
        b'{"text": NaN}',
        b'{"text": Infinity}',
        b"-Infinity",
        b'{"text": "\xff"}',
        b"\xff\xfe{\x00}\x00",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"null",
        b"false",
        b"0",
        b"-0.0",
        b'""',
        b"{} {}",
        b"<html>",
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_a_body_that_is_not_json_or_falsy_is_refused(body: bytes) -> None:
    """C6: 400 in the contract's words, and nothing happens."""
    async with a_world() as world:
        answer = await world.ask("POST", "/api/generate", body=body)
        assert (answer.status, answer.detail) == NOT_JSON
        await world.assert_nothing_written()


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b"true",
        b"7",
        b'"text"',
        b"\xef\xbb\xbf{}",
        b"1e999",
        b'{"ignored": ' + b"9" * 5000 + b"}",
        b'{"ignored": -' + b"9" * 900_000 + b"}",
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_any_other_truthy_json_is_an_object_without_keys(body: bytes) -> None:
    """What has no voice_id is asked for one, as a JavaScript server would."""
    async with a_world() as world:
        answer = await world.ask("POST", "/api/generate", body=body)
        assert (answer.status, answer.detail) == SELECT


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"voice_id": None}, SELECT),
        ({"voice_id": ""}, SELECT),
        ({"voice_id": " \t"}, SELECT),
        ({"voice_id": "\u200b"}, SELECT),
        ({"voice_id": 7}, SELECT),
        ({"voice_id": [VOICE]}, SELECT),
        ({"voice_id": {}}, SELECT),
        ({"voice_id": "anna"}, BAD_ID),
        ({"voice_id": f" {VOICE}"}, BAD_ID),
        ({"voice_id": VOICE.replace("-", "")}, BAD_ID),
        ({"voice_id": f"{{{VOICE}}}"}, BAD_ID),
        ({"voice_id": f"{VOICE}\n"}, BAD_ID),
        ({"voice_id": VOICE + "0"}, BAD_ID),
        ({"voice_id": "\ud800" * 36 + "x"}, BAD_ID),
        ({"voice_id": "../../etc/passwd"}, BAD_ID),
        ({"voice_id": "'; DROP TABLE tasks; --"}, BAD_ID),
        ({"text": None}, ENTER),
        ({"text": ""}, ENTER),
        ({"text": "  \r\n\t"}, ENTER),
        ({"text": "\u200b\u200d\ufeff"}, ENTER),
        ({"text": "\u0301"}, ENTER),
        ({"text": 42}, ENTER),
        ({"text": ["Hello"]}, ENTER),
        ({"text": True}, ENTER),
        ({"text": " " * 11}, ENTER),
        ({"text": "a" * 11}, TOO_LONG),
        ({"text": "😀" * 5 + "a"}, TOO_LONG),
        ({"text": "a" * 1_000_000}, TOO_LONG),
        ({"text": "a\0"}, UNSPEAKABLE),
        ({"text": "a\ud800"}, UNSPEAKABLE),
        ({"text": "\udc00a"}, UNSPEAKABLE),
        ({"voice_id": MISSING_ID}, NO_VOICE),
    ],
    ids=str,
)
async def test_each_bad_field_is_refused_in_its_own_words(
    fields: dict[str, object], expected: tuple[int, str]
) -> None:
    """Section 3: exact status and detail, and nothing is written anywhere."""
    async with a_world(FakeJobProvider(capabilities=SMALL)) as world:
        assert await _generate(world, **{"voice_id": VOICE, "text": "Hello", **fields}) == expected
        await world.assert_nothing_written()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"voice_id": "", "text": ""}, SELECT),
        ({"voice_id": "x", "text": ""}, BAD_ID),
        ({"voice_id": MISSING_ID, "text": ""}, ENTER),
        ({"voice_id": MISSING_ID, "text": "a" * 11}, TOO_LONG),
        ({"voice_id": MISSING_ID, "text": "Hello", "language": "Klingon"}, NO_VOICE),
    ],
    ids=str,
)
async def test_the_first_of_two_mistakes_is_named(
    fields: dict[str, object], expected: tuple[int, str]
) -> None:
    """Section 3 is an order, not a set."""
    capabilities = Capabilities(max_text_chars=10, languages=("English",))
    async with a_world(FakeJobProvider(capabilities=capabilities)) as world:
        assert await _generate(world, **fields) == expected


@pytest.mark.parametrize(
    "text", ["a" * 10, "😀" * 5, "e\u0301" * 5, "a\r\n" * 3, "\u202eabc\u2028"]
)
async def test_a_text_at_the_cap_in_utf16_units_is_taken_as_it_is(text: str) -> None:
    """C9: an emoji counts two, nothing is normalised, nothing is trimmed."""
    async with a_world(FakeJobProvider(capabilities=SMALL)) as world:
        assert await _generate(world, voice_id=VOICE, text=text) == (200, None)
        (job,) = await world.jobs()
        assert job.generation is not None
        assert job.generation.text == text


async def test_the_first_answer_names_the_job_and_nothing_more() -> None:
    """R3: exactly the contract's keys."""
    async with a_world() as world:
        answer = await world.ask(
            "POST",
            "/api/generate",
            send={"voice_id": VOICE.upper(), "text": "a" * 394, "model": "old", "language": " "},
        )
        (job,) = await world.jobs()
        assert answer.status == 200
        assert answer.json == {
            "task_id": job.task.id,
            "status": "processing",
            "is_long_running": True,
            "estimated_duration_minutes": 1.1,
            "generation_id": job.task.generation_id,
        }
        assert job.generation is not None
        assert job.generation.language == "Auto"


@pytest.mark.parametrize(
    ("sent", "kept"), [("english", "English"), ("ENGLISH", "English"), ("AUTO", "Auto")]
)
async def test_a_language_is_kept_as_the_provider_spells_it(sent: str, kept: str) -> None:
    """However old clients write it; so a repeated key with another spelling is no conflict either."""
    capabilities = Capabilities(max_text_chars=10, languages=("English",))
    async with a_world(FakeJobProvider(capabilities=capabilities)) as world:
        for language in (sent, kept):
            answer = await world.ask(
                "POST",
                "/api/generate",
                send={"voice_id": VOICE, "text": "Hello", "language": language},
                headers={"idempotency-key": "k"},
            )
            assert answer.status == 200
        (job,) = await world.jobs()
        assert job.generation is not None
        assert job.generation.language == kept


@pytest.mark.parametrize(
    ("characters", "minutes"),
    [(1, 0.1), (37, 0.1), (56, 0.1), (57, 0.2), (206, 0.5), (207, 0.6), (394, 1.1), (10_000, 26.7)],
)
def test_the_estimate_is_rounded_half_up(characters: int, minutes: float) -> None:
    """max(0.1, length / 375 to one decimal)."""
    assert estimated_minutes(characters) == minutes


async def test_a_voice_of_another_provider_is_refused() -> None:
    """409, naming both providers."""
    async with a_world() as world:
        voice = Voice(MISSING_ID, "Old", "modal", owner="ann", source=VoiceSource.UPLOADED)
        await world.store.add_voice(voice)
        assert await _generate(world, voice_id=MISSING_ID, text="Hello") == (
            409,
            "Voice belongs to provider 'modal'. Switch provider mode or create a fake voice.",
        )
        await world.assert_nothing_written()


async def test_a_deleted_voice_and_another_owners_voice_are_missing() -> None:
    """C7: the same answer to the letter."""
    async with a_world() as world:
        foreign, deleted = MISSING_ID, MISSING_ID.replace("8", "9")
        await world.add_voice(foreign, "Theirs", owner="bob")
        await world.add_voice(deleted, "Gone")
        await world.store.delete_voice("ann", deleted)
        assert await _generate(world, voice_id=foreign, text="Hello") == NO_VOICE
        assert await _generate(world, voice_id=deleted, text="Hello") == NO_VOICE
        await world.assert_nothing_written()


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "a" * 129, "a\r\nb", "one, two", "a/b"])
async def test_a_malformed_idempotency_key_is_refused(key: str) -> None:
    """1 to 128 unreserved characters, else nothing happens."""
    async with a_world() as world:
        answer = await world.ask(
            "POST",
            "/api/generate",
            send={"voice_id": VOICE, "text": "Hello"},
            headers={"idempotency-key": key},
        )
        assert (answer.status, answer.json["code"]) == (400, "idempotency_key_invalid")
        await world.assert_nothing_written()


async def test_a_repeated_key_gets_the_first_answer_again() -> None:
    """Same key and body: same job, paid for once, whatever has become of it."""
    async with a_world() as world:
        first = await world.generate(idempotency_key="k")
        await world.poll(first[0])
        await world.poll(first[0])
        assert await world.generate(idempotency_key="k") == first
        assert world.provider.ledger.submits == 1


async def test_a_repeated_key_outlives_its_voice_and_its_task() -> None:
    """The first answer again, also when the voice, its recording or the task is deleted since."""
    async with a_world(FakeDesigningJobProvider()) as world:
        voice_id = await world.clone()
        send = {"voice_id": voice_id, "text": "Hello"}
        headers = {"idempotency-key": "k"}
        first = await world.ask("POST", "/api/generate", send=send, headers=headers)
        assert first.status == 200
        voice = await world.store.get_voice("ann", voice_id)
        assert voice is not None
        assert voice.reference_audio_key is not None
        await world.blobs.delete(voice.reference_audio_key)
        await world.ask("DELETE", f"/api/voices/{voice_id}")
        await world.ask("DELETE", f"/api/tasks/{first.json['task_id']}")
        again = await world.ask("POST", "/api/generate", send=send, headers=headers)
        assert (again.status, again.json) == (200, first.json)
        other = {**send, "language": "French"}
        conflict = await world.ask("POST", "/api/generate", send=other, headers=headers)
        assert (conflict.status, conflict.json["code"]) == (409, "idempotency_conflict")
        fresh = await world.ask(
            "POST", "/api/generate", send=send, headers={"idempotency-key": "l"}
        )
        assert (fresh.status, fresh.detail) == (404, "Voice not found")


async def test_a_key_with_another_body_is_a_conflict() -> None:
    """409, and the first task is untouched."""
    async with a_world() as world:
        task_id, _ = await world.generate(idempotency_key="k")
        answer = await world.ask(
            "POST",
            "/api/generate",
            send={"voice_id": VOICE, "text": "Something else"},
            headers={"idempotency-key": "k"},
        )
        assert (answer.status, answer.json["code"]) == (409, "idempotency_conflict")
        assert [job.task.id for job in await world.jobs()] == [task_id]


async def test_a_key_belongs_to_its_owner() -> None:
    """Another owner's same key starts another job."""
    async with a_world() as world:
        mine = await world.generate(idempotency_key="k")
        assert await world.generate("Theirs", owner="bob", idempotency_key="k") != mine


async def test_the_cap_of_active_jobs_is_told_in_the_contracts_words() -> None:
    """409 while one runs; another owner is not concerned."""
    async with a_world(limits=Limits(active_per_owner=1)) as world:
        await world.generate()
        assert await _generate(world, voice_id=VOICE, text="More") == (
            409,
            "A generation is already in progress. Please wait for it to finish before starting another.",
        )
        await world.generate(owner="bob")
        assert len(await world.jobs()) == 1


@pytest.mark.parametrize(
    ("error", "code", "category"),
    [
        (ProviderRejected("No.", code="bad_voice"), "bad_voice", "provider_rejected"),
        (
            ProviderUnavailable(code="connect_failed", retryable=False, retry_after=7),
            "connect_failed",
            "provider_unavailable",
        ),
    ],
    ids=["rejected", "unreachable"],
)
async def test_a_job_that_the_provider_did_not_take_is_a_502(
    error: Exception, code: str, category: str
) -> None:
    """The task and the generation are failed already; code and category tell which it was."""
    async with a_world() as world:
        world.provider.script.submit.append(error)
        answer = await world.ask(
            "POST",
            "/api/generate",
            send={"voice_id": VOICE, "text": "Hello"},
            headers={"idempotency-key": "k"},
        )
        assert (answer.status, answer.detail) == (502, "Failed to submit generation job.")
        assert (answer.json["code"], answer.json["category"]) == (code, category)
        assert answer.headers.get("retry-after") == ("7" if code == "connect_failed" else None)
        (job,) = await world.jobs()
        assert (job.task.status, job.generation and job.generation.status) == ("failed", "failed")
        again = await world.ask(
            "POST",
            "/api/generate",
            send={"voice_id": VOICE, "text": "Hello"},
            headers={"idempotency-key": "k"},
        )
        assert (again.status, again.detail) == (502, "Failed to submit generation job.")
        assert world.provider.ledger.submits == 1


async def test_an_unknown_outcome_is_not_a_failure_yet() -> None:
    """200, and the task says that it isn't known; nobody pays twice."""
    async with a_world() as world:
        world.provider.script.submit_reply_lost.append(lost_reply())
        task_id, _ = await world.generate()
        task = await world.poll(task_id)
        assert (task["status"], task["provider_status"]) == ("processing", "unknown")
        assert task["error"] is None
        assert world.provider.ledger.submits == 1


async def test_a_key_of_a_job_that_failed_later_still_gets_the_first_answer() -> None:
    """Only a submit that was refused is a 502; the first answer to this one was a 200."""
    async with a_world() as world:
        world.provider.script.submit_reply_lost.append(lost_reply())
        first = await world.generate(idempotency_key="k")
        world.clock.advance(100_000)
        assert (await world.poll(first[0]))["status"] == "failed"
        assert await world.generate(idempotency_key="k") == first


async def test_a_key_of_a_direct_job_that_failed_still_gets_the_first_answer() -> None:
    """A direct provider is only asked after the first answer, so its refusal never is that answer."""
    async with a_world(FakeDirectProvider()) as world:
        world.provider.script.submit.append(ProviderRejected())
        first = await world.generate(idempotency_key="k")
        assert (await world.poll(first[0]))["status"] == "failed"
        assert await world.generate(idempotency_key="k") == first


async def test_a_direct_provider_answers_at_once() -> None:
    """The row is there before anybody calls the provider."""
    async with a_world(FakeDirectProvider()) as world:
        await world.generate()
        assert world.provider.ledger.submits == 0


async def test_a_body_in_many_pieces_is_one_body() -> None:
    """Chunks may be cut anywhere, also inside a character."""
    async with a_world() as world:
        body = json.dumps({"voice_id": VOICE, "text": "ü" * 9000}, ensure_ascii=False).encode()
        answer = await world.ask("POST", "/api/generate", body=body)
        assert answer.status == 200


@pytest.mark.parametrize("padding", [1024 * 1024, 17 * 1024 * 1024])
@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_a_mebibyte_is_too_large(padding: int, declared: bool) -> None:
    """413 with or without an honest Content-Length; one byte less is read."""
    async with a_world() as world:
        body = b"{}" + b" " * (padding - 1)
        headers = {"content-length": str(len(body))} if declared else {}
        answer = await world.ask("POST", "/api/generate", body=body, headers=headers)
        assert (answer.status, answer.detail) == (413, "Request body is too large.")
        fits = await world.ask("POST", "/api/generate", body=(b"{}" + b" " * (1024 * 1024 - 2)))
        assert (fits.status, fits.detail) == SELECT


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (b'{"voice_id": ', (408, "Request body was not received in time.")),
        (b" " * (1024 * 1024 + 1), (413, "Request body is too large.")),
    ],
    ids=["begun", "too large already"],
)
async def test_a_body_that_does_not_arrive_is_not_waited_for(
    received: bytes, expected: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """408 after the deadline, or what is wrong with it already; its connection is let go."""
    monkeypatch.setattr(bodies, "_RECEIVE_SECONDS", 0.05)
    closed: list[bool] = []

    async def stalled() -> AsyncGenerator[bytes, None]:
        try:
            yield received
            await anyio.sleep_forever()
        finally:
            closed.append(True)

    async def ann() -> str:
        return "ann"

    async with a_world() as world:
        request = HttpRequest("POST", "/api/generate", "", {}, stalled(), ann)
        with anyio.fail_after(5):
            response = await world.handler.handle(request)
        assert isinstance(response.body, bytes)
        assert (response.status, json.loads(response.body)["detail"]) == expected
        assert closed == [True]
        await world.assert_nothing_written()


async def test_the_log_says_why_a_job_was_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    """An operator needs the provider's reason, which a client is never told."""
    async with a_world() as world:
        world.provider.script.submit.append(
            ProviderRejected(code="provider_auth", detail="HTTP 401: missing credentials")
        )
        with caplog.at_level("WARNING"):
            answer = await world.ask(
                "POST", "/api/generate", send={"voice_id": VOICE, "text": "Hello"}
            )
    assert answer.status == 502
    assert "HTTP 401: missing credentials" in caplog.text
    assert b"missing credentials" not in answer.content


async def test_too_many_submits_in_a_minute_are_told_when_to_come_back() -> None:
    """429 with the wait in header and body; nothing is inserted, and then it is taken."""
    async with a_world(limits=Limits(submits_per_minute=2)) as world:
        for _ in range(2):
            world.clock.advance(10)
            await world.generate()
        answer = await world.ask("POST", "/api/generate", send={"voice_id": VOICE, "text": "More"})
        assert (answer.status, answer.detail) == (
            429,
            "Too many requests in a short time. Please try again in a moment.",
        )
        assert (answer.headers["retry-after"], answer.json["retry_after_seconds"]) == ("50", 50)
        assert len(await world.jobs()) == 2
        assert world.provider.ledger.submits == 2
        await world.generate(owner="bob")
        world.clock.advance(50)
        await world.generate()


@pytest.mark.parametrize("path", ["/api/generate", "/api/voices/design/preview"])
async def test_a_vendor_that_asked_for_a_wait_is_left_alone(path: str) -> None:
    """429 with what is left of it in header and body; nothing is inserted, and a repeated key is answered."""
    async with a_world(FakeDesigningJobProvider()) as world:
        task_id, _ = await world.generate(idempotency_key="k")
        await world.orchestrator.pause_provider("fake", seconds=60)
        world.clock.advance(19.5)
        answer = await world.ask(
            "POST", path, send={**A_DESIGN, "voice_id": VOICE, "text": "More"}, owner="bob"
        )
        assert (answer.status, answer.json["code"]) == (429, "provider_busy")
        assert answer.detail == "The speech service is busy. Please try again in a moment."
        assert (answer.headers["retry-after"], answer.json["retry_after_seconds"]) == ("41", 41)
        assert await world.jobs("bob") == []
        assert (await world.generate(idempotency_key="k"))[0] == task_id
        world.clock.advance(40.5)
        await world.generate(owner="bob")


async def test_a_clone_waits_for_a_vendor_that_asked_for_it() -> None:
    """429, and the same request makes the voice when the pause is over."""
    async with a_world(FakeCastingProvider()) as world:
        voice_id = await world.upload(tone_wav())
        await world.orchestrator.pause_provider("fake", seconds=60)
        send = {**A_CLONE, "voice_id": voice_id}
        answer = await world.ask("POST", "/api/clone/finalize", send=send)
        assert (answer.status, answer.json["code"]) == (429, "provider_busy")
        assert answer.headers["retry-after"] == "60"
        world.clock.advance(60)
        answer = await world.ask("POST", "/api/clone/finalize", send=send)
        assert (answer.status, answer.json["id"]) == (200, voice_id)


async def test_a_provider_with_enough_to_do_takes_nothing_more() -> None:
    """429, whoever asks; and its slot is free again when a job has ended."""
    async with a_world(limits=Limits(in_flight_per_provider=1)) as world:
        task_id, _ = await world.generate()
        answer = await world.ask(
            "POST", "/api/generate", owner="bob", send={"voice_id": VOICE, "text": "More"}
        )
        assert (answer.status, answer.json["code"]) == (429, "provider_busy")
        assert answer.detail == "The speech service is busy. Please try again in a moment."
        assert answer.headers["retry-after"] == "5"
        await world.ask("POST", f"/api/tasks/{task_id}/cancel")
        await world.generate(owner="bob")
