"""R16, R17: a voice from a description, heard first and then saved."""

from collections.abc import Mapping

import pytest

from tests.contract.world import A_DESIGN, MISSING_ID, Answer, World, a_world
from ttsorch.models import Capabilities
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeJobProvider
from ttsorch.testing.speech import tone_wav

pytestmark = pytest.mark.anyio

PREVIEW = "/api/voices/design/preview"
SAVE = "/api/voices/design"
A_FORM = {"name": "Vera", **A_DESIGN}
BOUNDARY = "a-boundary"

LONG = "x" * 501


def form(fields: dict[str, str], audio: bytes | None = None) -> bytes:
    """A multipart body, as a browser makes it."""
    parts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name, value in fields.items()
    ]
    if audio is not None:
        head = 'Content-Disposition: form-data; name="audio"; filename="preview.wav"\r\n'
        parts.append(f"{head}Content-Type: audio/wav\r\n\r\n".encode() + audio)
    body = b"".join(b"--a-boundary\r\n" + part + b"\r\n" for part in parts)
    return body + b"--a-boundary--\r\n"


async def save(
    world: World,
    fields: dict[str, str],
    audio: bytes | None = None,
    *,
    owner: str = "ann",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    sent = {**(headers or {}), "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    return await world.ask("POST", SAVE, owner=owner, body=form(fields, audio), headers=sent)


@pytest.mark.parametrize("provider", [FakeCastingProvider, FakeDesigningJobProvider])
async def test_a_voice_is_heard_then_saved_then_speaks(
    provider: type[FakeCastingProvider | FakeDesigningJobProvider],
) -> None:
    """R16, R17: pending, then processing from the first poll on, then a signed URL; one paid call in all."""
    async with a_world(provider()) as world:
        accepted = await world.ask("POST", PREVIEW, send=A_DESIGN)
        assert accepted.json.keys() == {"task_id", "status"}
        assert accepted.json["status"] == "pending"
        task_id = str(accepted.json["task_id"])
        listed = (await world.ask("GET", "/api/tasks")).only("tasks")
        assert (listed["type"], listed["status"]) == ("design_preview", "pending")
        seen = [await world.poll(task_id) for _ in range(4)]
        words = [poll["status"] for poll in seen]
        assert words[0] in ("processing", "completed")
        assert words[-1] == "completed"
        assert "pending" not in words
        result = seen[-1]["result"]
        assert isinstance(result, dict)
        heard = await world.ask("GET", str(result["audio_url"]), owner=None)
        assert (heard.status, heard.content) == (200, tone_wav())
        saved = (await save(world, {**A_FORM, "task_id": task_id}, tone_wav())).json
        assert saved["source"] == "designed"
        assert (saved["name"], saved["language"]) == ("Vera", "English")
        assert saved["description"] == "A calm voice."
        assert saved.keys() == {"id", "name", "description", "language", "source", "preview_url"}
        again = await world.ask("GET", str(saved["preview_url"]), owner=None)
        assert (again.status, again.content) == (200, tone_wav())
        spoken = await world.ask(
            "POST", "/api/generate", send={"voice_id": saved["id"], "text": "Hello"}
        )
        assert spoken.status == 200
        assert len(world.provider.ledger.voices) == 1


async def test_links_in_an_answer_are_absolute() -> None:
    """A page of another origin can play them as they are."""
    async with a_world(FakeDesigningJobProvider()) as world:
        task_id = await world.previewed()
        headers = {"host": "speech.example:8443"}
        polled = await world.ask("GET", f"/api/tasks/{task_id}", headers=headers, scheme="https")
        result = polled.json["result"]
        assert isinstance(result, dict)
        assert str(result["audio_url"]).startswith("https://speech.example:8443/api/media/")


async def test_saving_the_same_preview_twice_gives_the_same_voice() -> None:
    """Section 6: a double click made two voices from one paid design."""
    async with a_world(FakeCastingProvider()) as world:
        task_id = await world.previewed()
        first = await save(world, {**A_FORM, "task_id": task_id})
        second = await save(world, {**A_FORM, "task_id": task_id, "name": "Nora"})
        assert (first.status, second.status) == (200, 200)
        assert first.json["id"] == second.json["id"]
        assert second.json["name"] == "Vera"
        assert len(world.provider.ledger.voices) == 1


async def test_a_preview_whose_task_was_deleted_can_still_be_saved() -> None:
    """Section 4.6."""
    async with a_world(FakeCastingProvider()) as world:
        task_id = await world.previewed()
        assert (await world.ask("DELETE", f"/api/tasks/{task_id}")).status == 200
        saved = await save(world, {**A_FORM, "task_id": task_id})
        assert saved.status == 200
        heard = await world.ask("GET", f"/api/voices/{saved.json['id']}/preview")
        assert heard.status == 302


@pytest.mark.parametrize("task_id", [MISSING_ID, "7", "\N{SNOWMAN}"])
async def test_a_preview_that_is_not_there_is_not_found(task_id: str) -> None:
    """R17; a malformed id names no task either."""
    async with a_world(FakeCastingProvider()) as world:
        answer = await save(world, {**A_FORM, "task_id": task_id}, tone_wav())
        assert (answer.status, answer.detail) == (404, "Preview task not found.")
        await world.assert_nothing_written()


async def test_a_speech_task_is_no_preview() -> None:
    """R17."""
    async with a_world(FakeCastingProvider()) as world:
        task_id, _ = await world.finish()
        answer = await save(world, {**A_FORM, "task_id": task_id})
        assert (answer.status, answer.detail) == (404, "Preview task not found.")


async def test_a_preview_that_is_not_finished_can_not_be_saved_yet() -> None:
    """R17: 409, and later it can."""
    async with a_world(FakeDesigningJobProvider()) as world:
        task_id = await world.preview()
        early = await save(world, {**A_FORM, "task_id": task_id})
        assert (early.status, early.detail) == (409, "The preview of this voice is not finished.")


async def test_a_design_that_was_saved_and_deleted_is_gone() -> None:
    """R13 after R17: the same task doesn't bring it back."""
    async with a_world(FakeCastingProvider()) as world:
        task_id = await world.previewed()
        saved = (await save(world, {**A_FORM, "task_id": task_id})).json
        await world.ask("DELETE", f"/api/voices/{saved['id']}")
        again = await save(world, {**A_FORM, "task_id": task_id})
        assert (again.status, again.detail) == (404, "Voice not found.")


# --- without a task -----------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", [FakeCastingProvider, FakeDesigningJobProvider])
async def test_without_a_task_the_audio_makes_the_voice(
    provider: type[FakeCastingProvider | FakeDesigningJobProvider],
) -> None:
    """R17: as v1 clients save that have lost the task; a double click still makes one voice."""
    async with a_world(provider()) as world:
        first = await save(world, A_FORM, tone_wav())
        second = await save(world, A_FORM, tone_wav())
        assert (first.status, second.status) == (200, 200)
        assert first.json["id"] == second.json["id"]
        assert first.json["source"] == "designed"
        listed = (await world.ask("GET", "/api/voices?source=designed")).only("voices")
        assert listed["id"] == first.json["id"]
        assert listed["reference_transcript"] == "Hear me."
        assert len(world.provider.ledger.voices) <= 1


@pytest.mark.parametrize("provider", [FakeCastingProvider, FakeDesigningJobProvider])
async def test_a_voice_that_was_deleted_can_be_made_again(
    provider: type[FakeCastingProvider | FakeDesigningJobProvider],
) -> None:
    """The same form after a deletion is a wish, not a double click."""
    async with a_world(provider()) as world:
        seen = set()
        for _ in range(3):
            saved = await save(world, A_FORM, tone_wav())
            assert saved.status == 200
            seen.add(saved.json["id"])
            assert (await world.ask("DELETE", f"/api/voices/{saved.json['id']}")).status == 200
        assert len(seen) == 3


@pytest.mark.parametrize("provider", [FakeCastingProvider, FakeDesigningJobProvider])
async def test_deleting_and_making_again_leaves_one_recording_each(
    provider: type[FakeCastingProvider | FakeDesigningJobProvider],
) -> None:
    """What was deleted is passed over without writing anything, so that the tenth time costs no more than
    the first, and leaves nothing that only the collection of orphans finds."""
    async with a_world(provider()) as world:
        for times in range(1, 6):
            saved = await save(world, A_FORM, tone_wav())
            assert (await world.ask("DELETE", f"/api/voices/{saved.json['id']}")).status == 200
            assert len([blob async for blob in world.blobs.list("")]) == times


async def test_another_name_text_or_recording_is_another_voice() -> None:
    """Only the very same form is a double click; and owners never share one."""
    async with a_world(FakeDesigningJobProvider()) as world:
        answers = [
            await save(world, A_FORM, tone_wav()),
            await save(world, {**A_FORM, "name": "Nora"}, tone_wav()),
            await save(world, {**A_FORM, "text": "Other words."}, tone_wav()),
            await save(world, A_FORM, tone_wav(0.5)),
            await save(world, A_FORM, tone_wav(), owner="bob"),
        ]
        assert len({str(answer.json["id"]) for answer in answers}) == 5


@pytest.mark.parametrize(
    ("audio", "detail"),
    [
        (None, "Audio file is required."),
        (b"", "Audio file is empty."),
        (b"<html>", "The uploaded file is not audio."),
    ],
)
async def test_without_a_task_there_has_to_be_audio(audio: bytes | None, detail: str) -> None:
    """R17."""
    async with a_world(FakeDesigningJobProvider()) as world:
        answer = await save(world, A_FORM, audio)
        assert (answer.status, answer.detail) == (400, detail)
        await world.assert_nothing_written()


async def test_audio_that_is_no_file_is_missing() -> None:
    """R17: a field called audio is not a recording."""
    async with a_world(FakeDesigningJobProvider()) as world:
        answer = await save(world, {**A_FORM, "audio": "RIFF"})
        assert answer.detail == "Audio file is required."


# --- the fields ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "detail"),
    [
        ({"text": None}, "Preview text is required."),
        ({"text": " \u200b"}, "Preview text is required."),
        ({"text": LONG}, "Preview text must be 500 characters or less."),
        ({"instruct": None}, "Voice description is required."),
        ({"instruct": 3}, "Voice description is required."),
        ({"instruct": LONG}, "Voice description must be 500 characters or less."),
        ({"language": None}, "Language is required."),
        ({"name": "x" * 101}, "Name must be 1-100 characters."),
        ({"text": "\0"}, "Preview text is required."),
        ({"text": "a\0"}, "Text contains characters that cannot be spoken."),
        ({"name": "a\ud800"}, "Text contains characters that cannot be spoken."),
    ],
)
async def test_a_preview_is_refused_field_by_field(wrong: dict[str, object], detail: str) -> None:
    """R16: 400 with v1's sentence; nothing is written."""
    async with a_world(FakeCastingProvider()) as world:
        answer = await world.ask("POST", PREVIEW, send={**A_DESIGN, **wrong})
        assert (answer.status, answer.detail) == (400, detail)
        await world.assert_nothing_written()


async def test_the_fields_of_a_preview_are_looked_at_in_their_order() -> None:
    """C4: text, language, description; a provider that can't design comes last, with 409."""
    ladder: list[tuple[dict[str, object], int, str]] = [
        ({}, 400, "Preview text is required."),
        ({"text": "Hear me."}, 400, "Language is required."),
        ({"language": "English"}, 400, "Voice description is required."),
        ({"instruct": "Calm."}, 409, "The provider 'fake' does not support voice design."),
    ]
    async with a_world(FakeJobProvider()) as world:
        send: dict[str, object] = {}
        for more, status, detail in ladder:
            send |= more
            answer = await world.ask("POST", PREVIEW, send=send)
            assert (answer.status, answer.detail) == (status, detail)
        bad = await world.ask("POST", PREVIEW, body=b"nul")
        assert (bad.status, bad.detail) == (400, "Invalid JSON body")


async def test_the_fields_of_a_save_are_looked_at_in_their_order() -> None:
    """R17: name, text, language, description, then the task or the audio."""
    ladder: list[tuple[dict[str, str], int, str]] = [
        ({}, 400, "Name must be 1-100 characters."),
        ({"name": "Vera"}, 400, "Preview text is required."),
        ({"text": "Hear me."}, 400, "Language is required."),
        ({"language": "English"}, 400, "Voice description is required."),
        ({"instruct": "Calm."}, 400, "Audio file is required."),
        ({"task_id": MISSING_ID}, 404, "Preview task not found."),
    ]
    async with a_world(FakeCastingProvider()) as world:
        fields: dict[str, str] = {}
        for more, status, detail in ladder:
            fields |= more
            answer = await save(world, fields)
            assert (answer.status, answer.detail) == (status, detail)


async def test_five_hundred_characters_are_counted_as_a_browser_counts() -> None:
    """C9: UTF-16 code units, after the white space around them is gone."""
    async with a_world(FakeCastingProvider()) as world:
        fits = f" {'x' * 498}\N{GRINNING FACE} "
        assert (await world.ask("POST", PREVIEW, send={**A_DESIGN, "text": fits})).status == 200
        over = f"{'x' * 499}\N{GRINNING FACE}"
        answer = await world.ask("POST", PREVIEW, send={**A_DESIGN, "text": over})
        assert answer.detail == "Preview text must be 500 characters or less."


async def test_a_preview_can_be_repeated_with_its_key() -> None:
    """Idempotency-Key (additive): the same task; another request under it is a conflict."""
    async with a_world(FakeCastingProvider()) as world:
        headers = {"idempotency-key": "k"}
        first = await world.ask("POST", PREVIEW, send=A_DESIGN, headers=headers)
        second = await world.ask("POST", PREVIEW, send=A_DESIGN, headers=headers)
        assert first.json == second.json
        other = {**A_DESIGN, "text": "Other words."}
        assert (await world.ask("POST", PREVIEW, send=other, headers=headers)).status == 409


async def test_a_provider_without_design_can_still_keep_a_recording() -> None:
    """R17 without a task needs no design, only a provider that can clone."""
    cloning = FakeCastingProvider(capabilities=Capabilities(max_text_chars=600, cloning=True))
    async with a_world(cloning) as world:
        assert (await save(world, A_FORM, tone_wav())).status == 200
    async with a_world(FakeJobProvider()) as world:
        answer = await save(world, A_FORM, tone_wav())
        assert (answer.status, answer.json["code"]) == (409, "cloning_unsupported")
