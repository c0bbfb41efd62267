"""Health, languages and voices (R1, R2, R11)."""

import pytest

from tests.contract.world import A_CLONE, SIGNING_KEY, VOICE, World, a_world
from ttsorch.contract import ContractHandler
from ttsorch.models import Capabilities, Voice
from ttsorch.orchestrator import Orchestrator
from ttsorch.testing.fake_voices import FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider

pytestmark = pytest.mark.anyio


async def test_health_is_there_for_everybody() -> None:
    """R1, without a token."""
    async with a_world() as world:
        answer = await world.ask("GET", "/api/health", owner=None)
        assert (answer.status, answer.json) == (200, {"ok": True})
        assert world.asked == []


@pytest.mark.parametrize(
    ("known", "offered"),
    [
        ((), ["Auto"]),
        (("English", "German"), ["Auto", "English", "German"]),
        (("English", "Auto"), ["Auto", "English"]),
    ],
)
async def test_languages_say_what_the_provider_can_do(
    known: tuple[str, ...], offered: list[str]
) -> None:
    """R2, without a token; the default is one of those offered."""
    provider = FakeJobProvider(capabilities=Capabilities(max_text_chars=600, languages=known))
    async with a_world(provider) as world:
        answer = await world.ask("GET", "/api/languages", owner=None)
        assert answer.json == {
            "languages": offered,
            "default": "Auto",
            "provider": "fake",
            "capabilities": {
                "supports_generate": True,
                "supports_generate_stream": False,
                "default_generate_mode": "task",
                "allow_generate_mode_toggle": False,
                "max_text_chars": 600,
                "supports_clone": False,
                "supports_design": False,
                "max_voice_name_chars": 100,
                "max_design_chars": 500,
                "max_clip_bytes": 10 * 1024 * 1024,
                "clip_formats": ["wav", "mp3", "aac", "ogg", "flac", "m4a"],
            },
        }


@pytest.mark.parametrize("cloning", [True, False])
@pytest.mark.parametrize("design", [True, False])
@pytest.mark.parametrize("with_voices", [True, False])
async def test_voices_are_offered_to_be_made_where_they_can_be(
    cloning: bool, design: bool, with_voices: bool
) -> None:
    """Additive to R2: a form is there for what the provider can do and the host can keep."""
    can = Capabilities(
        max_text_chars=9, cloning=cloning, design=design, clip_formats=("wav", "mp3")
    )
    async with a_world(FakeJobProvider(capabilities=can), with_voices=with_voices) as world:
        told = (await world.ask("GET", "/api/languages")).json["capabilities"]
        assert isinstance(told, dict)
        assert told["supports_clone"] is (cloning and with_voices)
        assert told["supports_design"] is (design and with_voices)
        assert told["clip_formats"] == ["wav", "mp3"]


async def test_a_host_may_look_its_mode_up_with_each_request() -> None:
    """C4: after who is asking, before the body; a bad mode is a 500 in the words of R2."""
    sentence = "Invalid TTS_PROVIDER_MODE: nope. Expected one of: fake"
    async with a_world() as world:
        world.handler = ContractHandler(
            world.orchestrator, signing_key=SIGNING_KEY, mode=lambda: "nope"
        )
        for method, target in (("GET", "/api/languages"), ("POST", "/api/generate")):
            answer = await world.ask(method, target, body=b"not json")
            assert (answer.status, answer.detail) == (500, sentence)
        nobody = await world.ask("POST", "/api/generate", owner=None)
        assert nobody.status == 401


async def test_a_bad_mode_takes_no_server_down() -> None:
    """R1 has no errors, and what was stored is still heard: neither asks which provider it is."""
    async with a_world(FakeDesigningJobProvider()) as world:
        _, generation_id = await world.finish()
        link = await world.audio_link(generation_id)
        given = await world.ask("POST", "/api/clone/upload-url", send=A_CLONE)
        world.handler = ContractHandler(
            world.orchestrator, signing_key=SIGNING_KEY, mode=lambda: "nope"
        )
        assert (await world.ask("GET", "/api/health", owner=None)).json == {"ok": True}
        assert (await world.ask("GET", link, owner=None)).status == 200
        upload = str(given.json["upload_url"])
        assert (await world.ask("PUT", upload, owner=None, body=b"x")).status == 200


async def test_an_orchestrator_may_be_opened_after_its_handler_was_made() -> None:
    """As hosts do that build their routes first."""
    running: list[Orchestrator] = []
    handler = ContractHandler(lambda: running[0], signing_key=SIGNING_KEY)
    async with a_world() as world:
        running.append(world.orchestrator)
        world.handler = handler
        assert (await world.ask("GET", "/api/languages")).status == 200


async def test_a_switch_of_the_mode_concerns_new_tasks_only() -> None:
    """R2: with each request another provider may take the new tasks; what is under way stays with its own,
    and a name that none of them has is a 500 that says which there are."""
    modal, qwen = FakeJobProvider("modal"), FakeDirectProvider("qwen")
    mode = ["modal"]
    async with a_world(modal, also=(qwen,)) as world:
        world.handler = ContractHandler(
            world.orchestrator, signing_key=SIGNING_KEY, mode=lambda: mode[0]
        )
        tasks = {}
        for name in ("modal", "qwen"):
            mode[0] = name.upper()
            offered = (await world.ask("GET", "/api/languages")).json
            assert offered["provider"] == name
            tasks[name], _ = await world.generate()
        for name, task_id in tasks.items():
            assert (await world.poll(task_id))["provider"] == name
            while (await world.poll(task_id))["status"] == "processing":
                pass
            assert (await world.poll(task_id))["status"] == "completed"
        mode[0] = "nope"
        sentence = "Invalid TTS_PROVIDER_MODE: nope. Expected one of: modal, qwen"
        answer = await world.ask("GET", "/api/languages")
        assert (answer.status, answer.detail) == (500, sentence)
        mode[0] = " "
        assert (await world.ask("GET", "/api/languages")).json["provider"] == "modal"


# --- voices -------------------------------------------------------------------------------------------


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


async def _names(world: World, query: str = "") -> tuple[list[str], int, int]:
    body = (await world.ask("GET", f"/api/voices{query}")).json
    voices, pagination = body["voices"], body["pagination"]
    assert isinstance(voices, list)
    assert isinstance(pagination, dict)
    return [voice["name"] for voice in voices], pagination["total"], pagination["pages"]


class ManyVoices(FakeJobProvider):
    """A provider with three built-in voices."""

    async def voices(self) -> tuple[Voice, ...]:
        return tuple(Voice(_id(90 + n), f"Built {n}", self.name) for n in range(3))


async def test_a_built_in_voice_has_every_key() -> None:
    """R11, with source builtin and a stable id."""
    async with a_world() as world:
        voice = (await world.ask("GET", "/api/voices")).only("voices")
        assert voice == {
            "id": VOICE,
            "name": "Anna",
            "reference_transcript": None,
            "language": "Auto",
            "source": "builtin",
            "description": None,
            "created_at": None,
            "tts_provider": "fake",
            "provider_voice_id": None,
            "provider_target_model": None,
            "provider_voice_kind": None,
        }


@pytest.mark.parametrize("per_page", [1, 2, 3, 4, 5, 9])
async def test_the_pages_together_are_the_whole_list(per_page: int) -> None:
    """The owner's own first, newest first, then the built-in ones; none twice, none missing."""
    async with a_world(ManyVoices()) as world:
        await world.add_voice(_id(1), "Older")
        await world.add_voice(_id(2), "Newer")
        await world.add_voice(_id(3), "Theirs", owner="bob")
        seen: list[str] = []
        for page in range(1, 8):
            names, total, pages = await _names(world, f"?page={page}&per_page={per_page}")
            assert (total, pages) == (5, -(-5 // per_page))
            assert len(names) <= per_page
            seen += names
        assert seen == ["Newer", "Older", "Built 0", "Built 1", "Built 2"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?search=built", ["Built 0", "Built 1", "Built 2"]),
        ("?search=MINE", ["Mine"]),
        ("?search=2", ["Built 2"]),
        ("?source=uploaded", ["Mine"]),
        ("?source=designed", []),
        ("?source=uploaded&search=built", []),
        ("?source=junk&search=mine", ["Mine"]),
        ("?search=fake", []),
    ],
)
async def test_voices_are_found_by_name_and_source(query: str, names: list[str]) -> None:
    """Only the name is searched; a source that the contract doesn't know is ignored."""
    async with a_world(ManyVoices()) as world:
        await world.add_voice(_id(1), "Mine")
        assert (await _names(world, query))[0] == names


async def test_a_deleted_voice_is_hidden() -> None:
    """R11: soft-deleted ones are not listed."""
    async with a_world() as world:
        await world.add_voice(_id(1), "Mine")
        await world.store.delete_voice("ann", _id(1))
        assert (await _names(world))[0] == ["Anna"]


async def test_a_host_without_a_voice_store_has_the_built_in_ones() -> None:
    """Nothing else to list, and nothing breaks."""
    async with a_world(with_voices=False) as world:
        assert await _names(world, "?page=1") == (["Anna"], 1, 1)
