"""Ways in which a voice that was paid for could get lost, or be paid for twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from tests.orchestrator.voices import CLIP, VOICE, cloned, previewed, tasks_of, uploaded_and_cloned
from tests.orchestrator.world import OWNER, POLICY, STRANGER, World, completed, polled_to_the_end
from ttsorch import states
from ttsorch.errors import (
    CorruptResult,
    ProviderInvalid,
    ProviderUnavailable,
    TtsorchError,
    ValidationError,
)
from ttsorch.models import (
    Attempt,
    AudioStream,
    BlobInfo,
    Clip,
    OnUnknown,
    Ready,
    Status,
    TaskKind,
    Voice,
)
from ttsorch.testing.fake_voices import FakeCastingProvider

pytestmark = pytest.mark.anyio


class OpensBadly(FakeCastingProvider):
    """Its preview can't even be opened."""

    async def design(self, draft: Voice, attempt: Attempt) -> Ready:
        return replace(await super().design(draft, attempt), audio=self._bad())

    @asynccontextmanager
    async def _bad(self) -> AsyncIterator[AudioStream]:
        if self.audio:
            raise CorruptResult
        yield AudioStream(aiter(()))  # type: ignore[arg-type]


class GivesNoReceipt(FakeCastingProvider):
    async def design(self, draft: Voice, attempt: Attempt) -> Ready:
        return replace(await super().design(draft, attempt), receipt=None)


class NamesNoVoice(FakeCastingProvider):
    async def clone(self, draft: Voice, clip: Clip, attempt: Attempt) -> Ready:
        return replace(await super().clone(draft, clip, attempt), voice=None)


async def test_a_voice_is_on_the_row_before_its_preview_is_opened() -> None:
    """Bad audio is no reason to forget which voice was made."""
    world = World(OpensBadly())
    async with world.running() as tts:
        job = await polled_to_the_end(tts, await previewed(tts))
    assert job.task.status is Status.FAILED
    assert job.task.voice.provider_voice_id == "design-1"


@pytest.mark.parametrize("on_unknown", OnUnknown)
async def test_a_lost_preview_is_not_an_unknown_outcome(
    on_unknown: OnUnknown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The voice is on the row, with a receipt or without, so nothing is ever made again."""
    world = World(provider := GivesNoReceipt(on_unknown=on_unknown))

    async def broken(key: str, chunks: AsyncIterator[bytes], content_type: str) -> BlobInfo:
        raise ProviderUnavailable(code="broke")

    async with world.running() as tts:
        with monkeypatch.context() as patch:
            patch.setattr(world.blobs, "put", broken)
            job = await tts.poll_once((await previewed(tts)).task.id, owner=OWNER)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert len(provider.ledger.voices) == 1
    assert job.task.error is not None
    assert job.task.error.code == "preview_lost"


async def test_an_upload_under_a_generations_id_is_in_nobodys_way() -> None:
    """A host may hand in any id; the folder of recordings isn't that of results."""
    world = World(provider := FakeCastingProvider(fetchable=True))
    provider.script.fetch.append(ProviderUnavailable())
    async with world.running() as tts:
        job = await tts.poll_once((await world.submitted(tts)).task.id, owner=OWNER)
        await tts.upload_clip(job.task.generation_id or "", CLIP, owner=OWNER)
        world.clock.advance(60)
        assert completed(await polled_to_the_end(tts, job))


def test_events_show_no_ticket_and_no_envelope() -> None:
    """Both may hold what isn't for logs."""
    when = World(FakeCastingProvider()).clock() + timedelta(seconds=1)
    for event in (
        states.SubmitAccepted({"id": "SECRET"}, when),
        states.TicketArrived({"id": "SECRET"}),
        states.ResultReady({"url": "SECRET"}),
        states.StoreStarted({"url": "SECRET"}),
    ):
        assert "SECRET" not in repr(event)


@pytest.mark.parametrize("verb", ["upload", "clone", "preview"])
async def test_an_owner_is_required(verb: str) -> None:
    """Nothing is kept for nobody."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        calls = {
            "upload": partial(tts.upload_clip, VOICE, CLIP),
            "clone": partial(tts.clone_voice, VOICE, name="Vera"),
            "preview": partial(tts.preview_design, text="Hi.", description="Calm."),
        }
        with pytest.raises(ValidationError) as caught:
            await calls[verb](owner="")  # type: ignore[operator]
    assert caught.value.code == "owner_required"
    assert await world.blob_keys() == []


async def test_the_clip_of_a_clone_under_way_is_no_orphan() -> None:
    """However old the upload is, and however often the clone was tried."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.extend([ProviderInvalid(), ProviderUnavailable(retry_after=1.0)])
    async with world.running() as tts:
        with pytest.raises(ProviderInvalid):
            await uploaded_and_cloned(tts)
        world.clock.advance(POLICY.orphan_grace + 1)
        with pytest.raises(ProviderUnavailable):
            await cloned(tts)
        [task] = [
            each for each in await tasks_of(world, TaskKind.CLONE) if not each.status.terminal
        ]
        await tts.collect_orphans(dry_run=False)
        world.clock.advance(5)
        job = await tts.step(task.id, owner=OWNER)
    assert completed(job)


async def test_an_unfinished_clone_holds_its_clip_at_any_age() -> None:
    """Also with a grace that is shorter than a clone takes."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.append(ProviderUnavailable(retry_after=1.0))
    async with world.running() as tts:
        with pytest.raises(ProviderUnavailable):
            await uploaded_and_cloned(tts)
        [task] = await tasks_of(world, TaskKind.CLONE)
    assert await world.tasks.unreferenced([task.voice.reference_audio_key or ""]) == []


async def test_an_id_that_another_owner_has_makes_no_voice() -> None:
    """It is told like one's own, and the voice that the provider made is on the task's row."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        first = await uploaded_and_cloned(tts)
        with pytest.raises(TtsorchError) as caught:
            await uploaded_and_cloned(tts, owner=STRANGER)
        assert await tts.find_voice(VOICE, owner=OWNER) == first
    [task] = await tasks_of(world, TaskKind.CLONE, owner=STRANGER)
    assert (caught.value.code, task.status) == ("voice_exists", Status.FAILED)
    assert task.voice.provider_voice_id == "clone-2"


async def test_a_repeated_clone_keeps_to_the_vendors_wait() -> None:
    """Repeating the verb is no way around Retry-After."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.append(ProviderUnavailable(retry_after=60.0))
    async with world.running() as tts:
        with pytest.raises(ProviderUnavailable):
            await uploaded_and_cloned(tts)
        with pytest.raises(ProviderUnavailable):
            await cloned(tts)
        assert provider.ledger.submits == 1
        world.clock.advance(61)
        assert (await cloned(tts)).provider_voice_id == "clone-1"


async def test_a_clone_that_names_no_voice_is_an_unknown_outcome() -> None:
    """A success without an id: it may have been made, so it isn't made again."""
    world = World(provider := NamesNoVoice())
    async with world.running() as tts:
        for _ in range(2):
            with pytest.raises(ProviderUnavailable):
                await (cloned(tts) if provider.ledger.submits else uploaded_and_cloned(tts))
        assert [job.task.kind for job in await world.tasks.list_unknown()] == [TaskKind.CLONE]
    assert provider.ledger.submits == 1
