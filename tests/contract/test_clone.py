"""R14, R15 and the upload between them: a voice from a recording."""

import pytest

from tests.contract.world import A_CLONE, MISSING_ID, World, a_world
from ttsorch.capabilities import MAX_CLIP_BYTES
from ttsorch.contract import uploads
from ttsorch.contract.signing import LINK_LIFETIME
from ttsorch.models import Capabilities
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeJobProvider
from ttsorch.testing.speech import tone_wav

pytestmark = pytest.mark.anyio

UPLOAD_URL = "/api/clone/upload-url"
FINALIZE = "/api/clone/finalize"

#: What is wrong with a form, and v1's sentence for it, in the order in which they are found.
LADDER = [
    ({"name": None}, "Name must be 1-100 characters."),
    ({"name": ""}, "Name must be 1-100 characters."),
    ({"name": " \t"}, "Name must be 1-100 characters."),
    ({"name": 7}, "Name must be 1-100 characters."),
    ({"name": "x" * 101}, "Name must be 1-100 characters."),
    ({"name": "\N{SPEAKING HEAD IN SILHOUETTE}" * 51}, "Name must be 1-100 characters."),
    ({"language": None}, "Language is required."),
    ({"language": "  "}, "Language is required."),
    ({"transcript": None}, "Transcript is required."),
    ({"transcript": ["x"]}, "Transcript is required."),
]


async def _finalize(world: World, voice_id: object, **fields: object) -> tuple[int, object]:
    send = {**A_CLONE, "voice_id": voice_id, **fields}
    answer = await world.ask("POST", FINALIZE, send=send)
    return answer.status, answer.json if answer.status == 200 else answer.detail


@pytest.mark.parametrize("provider", [FakeCastingProvider, FakeDesigningJobProvider])
async def test_a_voice_is_made_of_what_was_uploaded(
    provider: type[FakeCastingProvider | FakeDesigningJobProvider],
) -> None:
    """R14, the PUT, R15: then it is listed, heard, and can speak."""
    async with a_world(provider()) as world:
        voice_id = await world.upload(tone_wav(0.5))
        assert await _finalize(world, voice_id) == (200, {"id": voice_id, "name": "Vera"})
        listed = (await world.ask("GET", "/api/voices?source=uploaded")).only("voices")
        assert listed["id"] == voice_id
        assert (listed["source"], listed["language"]) == ("uploaded", "English")
        assert listed["reference_transcript"] == "These are my words."
        heard = await world.ask("GET", f"/api/voices/{voice_id}/preview")
        media = await world.ask("GET", heard.headers["location"], owner=None)
        assert (media.status, media.content) == (200, tone_wav(0.5))
        spoken = await world.ask(
            "POST", "/api/generate", send={"voice_id": voice_id, "text": "Hello"}
        )
        assert spoken.status == 200


async def test_the_first_answer_is_all_that_a_client_needs() -> None:
    """R14: exactly three keys, an absolute URL, and a key that is the owner's."""
    async with a_world(FakeCastingProvider()) as world:
        answer = await world.ask(
            "POST", UPLOAD_URL, send=A_CLONE, headers={"host": "speech.example"}, scheme="https"
        )
        body = answer.json
        assert body.keys() == {"voice_id", "upload_url", "object_key"}
        key = str(body["object_key"])
        assert str(body["upload_url"]).startswith(f"https://speech.example/api/uploads/{key}?")
        assert f"/voices/{body['voice_id']}/" in key
        await world.assert_nothing_written()


@pytest.mark.parametrize(("wrong", "detail"), LADDER)
@pytest.mark.parametrize("path", [UPLOAD_URL, FINALIZE])
async def test_a_form_is_refused_field_by_field(
    path: str, wrong: dict[str, object], detail: str
) -> None:
    """R14, R15: 400 with v1's sentence; nothing is written."""
    async with a_world(FakeCastingProvider()) as world:
        send = {"voice_id": MISSING_ID, **A_CLONE, **wrong}
        answer = await world.ask("POST", path, send=send)
        assert (answer.status, answer.detail) == (400, detail)
        await world.assert_nothing_written()


@pytest.mark.parametrize("path", [UPLOAD_URL, FINALIZE])
async def test_the_fields_are_looked_at_in_their_order(path: str) -> None:
    """C4: whoever sends several wrong ones hears of the first; a provider that can't clone comes last."""
    ladder = [
        ({}, 400, "Name must be 1-100 characters."),
        ({"name": "Vera"}, 400, "Language is required."),
        ({"language": "English"}, 400, "Transcript is required."),
        (
            {"transcript": "Words."},
            409,
            "The provider 'fake' does not support voice cloning.",
        ),
    ]
    async with a_world(FakeJobProvider()) as world:
        send: dict[str, object] = {"voice_id": MISSING_ID} if path == FINALIZE else {}
        for more, status, detail in ladder:
            send |= more
            answer = await world.ask("POST", path, send=send)
            assert (answer.status, answer.detail) == (status, detail)
        bad = await world.ask("POST", path, body=b"{")
        assert (bad.status, bad.detail) == (400, "Invalid JSON body")


async def test_white_space_around_a_field_does_not_count() -> None:
    """A hundred letters fit, with whatever a form leaves around them."""
    async with a_world(FakeCastingProvider()) as world:
        voice_id = await world.upload(tone_wav())
        name = f"  {'x' * 100}\n"
        assert (await _finalize(world, voice_id, name=name))[1] == {
            "id": voice_id,
            "name": "x" * 100,
        }


@pytest.mark.parametrize("voice_id", [None, "", 7])
async def test_a_voice_without_an_id_is_refused_first(voice_id: object) -> None:
    """R15."""
    async with a_world(FakeCastingProvider()) as world:
        answer = await world.ask("POST", FINALIZE, send={"voice_id": voice_id})
        assert (answer.status, answer.detail) == (400, "voice_id is required.")


@pytest.mark.parametrize("voice_id", [MISSING_ID, "7", "../x", "a\0", "x" * 5000])
async def test_nothing_uploaded_is_told(voice_id: str) -> None:
    """R15: whatever the id looks like."""
    async with a_world(FakeCastingProvider()) as world:
        assert await _finalize(world, voice_id) == (400, "Audio file not uploaded.")
        await world.assert_nothing_written()


async def test_another_owners_upload_is_no_upload() -> None:
    """C7: the id alone opens nothing, and the upload still serves who made it."""
    async with a_world(FakeCastingProvider()) as world:
        voice_id = await world.upload(tone_wav(), owner="bob")
        assert await _finalize(world, voice_id) == (400, "Audio file not uploaded.")
        send = {**A_CLONE, "voice_id": voice_id}
        assert (await world.ask("POST", FINALIZE, owner="bob", send=send)).status == 200


@pytest.mark.parametrize(
    ("audio", "detail"),
    [
        (b"", "The uploaded file is not audio."),
        (b"<html>no</html>", "The uploaded file is not audio."),
        (b"RIFF" + bytes(MAX_CLIP_BYTES), "Reference audio must be under 10MB."),
    ],
)
async def test_what_is_no_recording_is_refused_and_forgotten(audio: bytes, detail: str) -> None:
    """R15: by its size and its magic bytes, after the upload; then another one may be uploaded."""
    async with a_world(FakeCastingProvider()) as world:
        given = (await world.ask("POST", UPLOAD_URL, send=A_CLONE)).json
        link, voice_id = str(given["upload_url"]), given["voice_id"]
        assert (await world.ask("PUT", link, owner=None, body=audio)).status == 200
        assert await _finalize(world, voice_id) == (400, detail)
        await world.assert_nothing_written()
        assert (await world.ask("PUT", link, owner=None, body=tone_wav())).status == 200
        assert (await _finalize(world, voice_id))[0] == 200


async def test_a_header_without_samples_passes_here() -> None:
    """R15: what else a clip needs is the provider's to know."""
    async with a_world(FakeDesigningJobProvider()) as world:
        voice_id = await world.upload(tone_wav()[:44])
        assert (await _finalize(world, voice_id))[0] == 200


async def test_a_voice_is_made_once() -> None:
    """R15: 409 for the second time; the voice and its audio stay as they are."""
    async with a_world(FakeDesigningJobProvider()) as world:
        voice_id = await world.clone(tone_wav(0.5))
        assert await _finalize(world, voice_id) == (409, "This voice exists already.")
        heard = await world.ask("GET", f"/api/voices/{voice_id}/preview")
        media = await world.ask("GET", heard.headers["location"], owner=None)
        assert media.content == tone_wav(0.5)


async def test_the_providers_formats_come_with_its_capabilities() -> None:
    """R15: a recording that it doesn't take is refused before anything is paid."""
    provider = FakeCastingProvider(
        capabilities=Capabilities(max_text_chars=600, cloning=True, clip_formats=("mp3",))
    )
    async with a_world(provider) as world:
        voice_id = await world.upload(tone_wav())
        status, detail = await _finalize(world, voice_id)
        assert (status, detail) == (400, "The provider takes recordings as mp3 only.")
        await world.assert_nothing_written()


# --- the link -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["audio/wav", "text/html", "", "x" * 300])
async def test_an_upload_may_claim_any_type_and_needs_no_token(content_type: str) -> None:
    """R14: one PUT, answered with 200 and JSON; a stray token is tolerated, and nobody is asked."""
    async with a_world(FakeCastingProvider()) as world:
        given = (await world.ask("POST", UPLOAD_URL, send=A_CLONE)).json
        world.asked.clear()
        headers = {"content-type": content_type, "authorization": "Bearer stray"}
        put = await world.ask(
            "PUT", str(given["upload_url"]), owner=None, body=tone_wav(), headers=headers
        )
        assert (put.status, put.json) == (200, {"ok": True})
        assert put.headers["access-control-allow-origin"] == "*"
        assert world.asked == []


async def test_a_second_upload_does_not_replace_the_first() -> None:
    """A link that leaked can't slip another voice in."""
    async with a_world(FakeDesigningJobProvider()) as world:
        given = (await world.ask("POST", UPLOAD_URL, send=A_CLONE)).json
        link = str(given["upload_url"])
        assert (await world.ask("PUT", link, owner=None, body=tone_wav(0.5))).status == 200
        second = await world.ask("PUT", link, owner=None, body=tone_wav(0.1))
        assert second.status == 409
        assert (await _finalize(world, given["voice_id"]))[0] == 200
        heard = await world.ask("GET", f"/api/voices/{given['voice_id']}/preview")
        media = await world.ask("GET", heard.headers["location"], owner=None)
        assert media.content == tone_wav(0.5)


async def test_a_link_is_for_one_key_one_purpose_and_one_hour() -> None:
    """Changed, used to read, made for reading, or too old: 403, and nothing is kept."""
    async with a_world(FakeCastingProvider()) as world:
        given = (await world.ask("POST", UPLOAD_URL, send=A_CLONE)).json
        link, key = str(given["upload_url"]), str(given["object_key"])
        other = str((await world.ask("POST", UPLOAD_URL, send=A_CLONE)).json["object_key"])
        signed = world.handler._signer.path(key, now=world.clock())
        for forged in (
            link.replace(key, other),
            link[:-1] + ("A" if link[-1] != "A" else "B"),
            link.partition("?")[0],
            signed.replace("/api/media/", "/api/uploads/"),
        ):
            refused = await world.ask("PUT", forged, owner=None, body=tone_wav())
            assert (refused.status, refused.detail) == (403, "This link is not valid.")
        reading = link.replace("/api/uploads/", "/api/media/")
        assert (await world.ask("GET", reading, owner=None)).status == 403
        world.clock.advance(LINK_LIFETIME + 1)
        late = await world.ask("PUT", link, owner=None, body=tone_wav())
        assert (late.status, late.detail) == (403, "This link has expired.")
        await world.assert_nothing_written()


async def test_a_recording_that_takes_too_long_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """408; whoever drips holds no connection for ever, and leaves nothing."""
    monkeypatch.setattr(uploads, "_RECEIVE_SECONDS", 0.01)
    async with a_world(FakeCastingProvider()) as world:
        given = (await world.ask("POST", UPLOAD_URL, send=A_CLONE)).json
        answer = await world.ask("PUT", str(given["upload_url"]), owner=None, drip=tone_wav())
        assert (answer.status, answer.detail) == (
            408,
            "Request body was not received in time.",
        )
        await world.assert_nothing_written()
