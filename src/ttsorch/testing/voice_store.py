"""What every voice store must pass. A backend's author subclasses :class:`VoiceStoreSuite` and supplies
the fixture ``store``, as for :class:`ttsorch.testing.task_store.TaskStoreSuite`; each test begins with an
empty store."""

import uuid
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ttsorch.errors import StorageUnavailable
from ttsorch.models import Page, Voice, VoiceSource
from ttsorch.store import TaskAndVoiceStore
from ttsorch.testing.naughty_strings import NAUGHTY_BY_KIND
from ttsorch.testing.task_store_history import SEARCHES
from ttsorch.testing.task_store_jobs import ANNA, BEN, race
from ttsorch.testing.voice_store_purges import VoicePurgeCases


def new_voice(
    now: datetime,
    *,
    owner: str = ANNA,
    name: str = "Vera",
    source: VoiceSource = VoiceSource.UPLOADED,
) -> Voice:
    """A voice with every field set."""
    voice_id = str(uuid.uuid4())
    return Voice(
        id=voice_id,
        name=name,
        tts_provider="fake",
        owner=owner,
        source=source,
        language="de",
        description="warm",
        reference_transcript="Hallo",
        reference_audio_key=f"{owner}/{voice_id}/1.wav",
        provider_voice_id="p-1",
        provider_target_model="model-2",
        provider_voice_kind="clone",
        created_at=now,
    )


async def _added(store: TaskAndVoiceStore, voice: Voice) -> Voice:
    assert await store.add_voice(voice)
    return voice


def _names(page: Page[Voice]) -> list[str]:
    return [voice.name for voice in page.items]


class VoiceStoreSuite(VoicePurgeCases):
    """Supply the fixture ``store``."""

    pytestmark = pytest.mark.anyio

    async def test_add_and_get(self, store: TaskAndVoiceStore) -> None:
        """A voice comes back as it was added, with every field or with as few as can be."""
        full = await _added(store, new_voice(store.now()))
        plain = await _added(store, Voice(id="v", name="V", tts_provider="fake", owner=ANNA))
        assert await store.get_voice(ANNA, full.id) == full
        assert await store.get_voice(ANNA, plain.id) == plain

    @pytest.mark.parametrize("kind", NAUGHTY_BY_KIND)
    async def test_strings_come_back_as_they_were(
        self, store: TaskAndVoiceStore, kind: str
    ) -> None:
        """Whatever text a voice holds, exactly that comes back; as an owner or id it finds its row."""
        for text in NAUGHTY_BY_KIND[kind]:
            name = text[:200]  # as long as an id may be
            voice = Voice(
                id=f"v{name}",
                owner=f"o{name}",
                name=text,
                tts_provider=text,
                reference_transcript=text,
            )
            await _added(store, voice)
            assert await store.get_voice(f"o{name}", f"v{name}") == voice

    async def test_a_taken_id_is_refused(self, store: TaskAndVoiceStore) -> None:
        """An id can be used once, whoever has it and though it was deleted; the first voice stays."""
        voice = await _added(store, new_voice(store.now()))
        for owner in (ANNA, BEN):
            assert not await store.add_voice(replace(voice, owner=owner, name="Other"))
        assert await store.get_voice(ANNA, voice.id) == voice
        await store.delete_voice(ANNA, voice.id)
        assert not await store.add_voice(voice)

    async def test_racing_adds_of_one_id(self, store: TaskAndVoiceStore) -> None:
        """Of many adds of one id at once exactly one succeeds."""
        voice = new_voice(store.now())
        added = await race(lambda n: store.add_voice(replace(voice, name=f"{n}")), 20)
        assert added.count(True) == 1
        found = await store.get_voice(ANNA, voice.id)
        assert found is not None
        assert found.name == str(added.index(True))

    async def test_voices_are_the_owners_alone(self, store: TaskAndVoiceStore) -> None:
        """Another owner's voice looks exactly like a missing one."""
        voice = await _added(store, new_voice(store.now()))
        assert await store.get_voice(BEN, voice.id) is None
        assert await store.get_voice(ANNA, "missing") is None
        assert not await store.delete_voice(BEN, voice.id)
        assert (await store.list_voices(BEN)).total == 0
        assert await store.get_voice(ANNA, voice.id) == voice

    async def test_delete_voice(self, store: TaskAndVoiceStore) -> None:
        """A deleted voice is gone; deleting it again is True, deleting what never was is False."""
        voice = await _added(store, new_voice(store.now()))
        assert await store.delete_voice(ANNA, voice.id)
        assert await store.delete_voice(ANNA, voice.id)
        assert not await store.delete_voice(ANNA, "missing")
        assert await store.get_voice(ANNA, voice.id) is None
        assert (await store.list_voices(ANNA)).items == ()
        kept = await store.get_voice(ANNA, voice.id, include_deleted=True)
        assert kept is not None
        assert kept.deleted_at is not None
        assert replace(kept, deleted_at=None) == voice
        assert await store.get_voice(BEN, voice.id, include_deleted=True) is None

    async def test_list_voices_by_page(self, store: TaskAndVoiceStore) -> None:
        """Newest first; pages follow on one another, also where times are equal, to an empty one."""
        now = store.now()
        for age in (2, 0, 1, 1, 1):
            voice = new_voice(now - timedelta(microseconds=age), name=f"{age}")
            await _added(store, voice)
        pages = [await store.list_voices(ANNA, page=n, per_page=2) for n in (1, 2, 3, 4)]
        assert [_names(page) for page in pages] == [["0", "1"], ["1", "1"], ["2"], []]
        assert {(page.per_page, page.total) for page in pages} == {(2, 5)}
        seen = tuple(voice for page in pages for voice in page.items)
        assert (await store.list_voices(ANNA)).items == seen
        assert len({voice.id for voice in seen}) == 5

    @pytest.mark.parametrize(("search", "name", "found"), SEARCHES)
    async def test_search(
        self, store: TaskAndVoiceStore, search: str, name: str, found: bool
    ) -> None:
        """A search finds substrings of the name by Unicode case folding, without wildcards."""
        await _added(store, new_voice(store.now(), name=name))
        page = await store.list_voices(ANNA, search=search)
        assert _names(page) == ([name] if found else [])
        assert page.total == int(found)

    async def test_search_looks_at_the_name_only(self, store: TaskAndVoiceStore) -> None:
        """What a voice's other fields hold is not searched (contract R11)."""
        await _added(store, new_voice(store.now()))
        assert (await store.list_voices(ANNA, search="warm")).total == 0

    async def test_list_voices_of_one_source(self, store: TaskAndVoiceStore) -> None:
        """The source filter shows those of that source only, and combines with a search."""
        now = store.now()
        await _added(store, new_voice(now, name="Vera"))
        designed = await _added(store, new_voice(now, name="Dora", source=VoiceSource.DESIGNED))
        await _added(store, new_voice(now, name="Dana", source=VoiceSource.DESIGNED))
        page = await store.list_voices(ANNA, source=VoiceSource.DESIGNED, search="or")
        assert page.items == (designed,)
        assert (await store.list_voices(ANNA, source=VoiceSource.DESIGNED)).total == 2

    async def test_reference_audio_is_in_use(self, store: TaskAndVoiceStore) -> None:
        """The blob that a voice names is not unreferenced."""
        voice = await _added(store, new_voice(store.now()))
        key = voice.reference_audio_key
        assert key is not None
        assert list(await store.unreferenced([key, "garbage/1.wav"])) == ["garbage/1.wav"]

    async def test_use_after_aclose_is_refused(self, store: TaskAndVoiceStore) -> None:
        """After aclose a voice call raises StorageUnavailable, code store_closed."""
        await store.aclose()
        with pytest.raises(StorageUnavailable) as refusal:
            await store.list_voices(ANNA)
        assert refusal.value.code == "store_closed"
