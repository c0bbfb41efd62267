"""What the tests of voices share: an upload, a clone, a preview, and what the rows then say."""

from tests.orchestrator.world import OWNER, World
from ttsorch.errors import TtsorchError
from ttsorch.models import Job, Task, TaskKind, Voice
from ttsorch.orchestrator import Orchestrator
from ttsorch.testing.speech import tone_wav

VOICE = "0b0f6a2e-7f2b-4c55-9a83-0d7f9f5d4a11"
OTHER_VOICE = "6a4f2a0e-1d3c-4f7e-8b56-3f1a7c9e2b22"
CLIP = tone_wav(0.5)
WORDS = "These are the words of the recording."


async def cloned(
    tts: Orchestrator,
    voice_id: str = VOICE,
    *,
    owner: str = OWNER,
    name: str = "Vera",
    language: str = "Auto",
    transcript: str | None = WORDS,
) -> Voice:
    return await tts.clone_voice(
        voice_id, name=name, owner=owner, language=language, transcript=transcript
    )


async def uploaded_and_cloned(
    tts: Orchestrator, voice_id: str = VOICE, *, owner: str = OWNER
) -> Voice:
    await tts.upload_clip(voice_id, CLIP, owner=owner)
    return await cloned(tts, voice_id, owner=owner)


async def previewed(tts: Orchestrator, *, key: str | None = None, name: str | None = None) -> Job:
    return await tts.preview_design(
        text="Hear me.", description="A calm voice.", owner=OWNER, name=name, idempotency_key=key
    )


async def tasks_of(world: World, kind: TaskKind, *, owner: str = OWNER) -> list[Task]:
    """Oldest first."""
    jobs = await world.tasks.list_tasks(owner, kind=kind, limit=50)
    return [job.task for job in reversed(jobs)]


async def refusal(tts: Orchestrator, *, owner: str = OWNER) -> TtsorchError:
    """The error of one more try to clone."""
    try:
        await cloned(tts, owner=owner)
    except TtsorchError as error:
        return error
    raise AssertionError("the clone was not refused")
