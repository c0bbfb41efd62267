"""``ttsorch say``: submit, poll until the job has ended, copy the stored audio out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import anyio

from ttsorch.cli.choosing import choose_voice, usable_voices
from ttsorch.cli.stopping import Stoppable, Stopped
from ttsorch.cli.target import Target
from ttsorch.config import Config, open_orchestrator
from ttsorch.errors import InternalError, TtsorchError
from ttsorch.models import ErrorInfo, Job, SpeechRequest, StoredAudio, Task, Transition
from ttsorch.orchestrator import Orchestrator

#: Told of the job whenever something about it is new.
Watch: TypeAlias = Callable[[Job], None]

# In seconds. A direct provider's job is done within its first poll; the pauses are for the others.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


@dataclass(slots=True)
class Spoken:
    """How far it has come: readable however it ended."""

    job: Job | None = None
    out: str | None = None


@dataclass(frozen=True, slots=True)
class Saying:
    """One text to be said into ``target``."""

    text: str
    voice: str | None
    language: str
    owner: str
    target: Target

    async def run(self, config: Config, spoken: Spoken, watch: Watch) -> StoredAudio:
        """Say it, noting in ``spoken`` what came of it.

        Raises:
            Stopped: by a signal; the job was cancelled first, for good.
            ValidationError: it can't be done as it was asked for; there is no job.
            TtsorchError: the job failed, or could not be followed to its end.
        """

        async def listen(transition: Transition) -> None:
            watch(transition.job)

        # No background work: this process is here for one job, and other jobs' owners see to theirs.
        async with open_orchestrator(config, background=False, listeners=[listen]) as orchestrator:
            voices = await usable_voices(orchestrator, self.owner)
            voice = choose_voice(voices, self.voice, language=self.language)
            request = SpeechRequest(self.text, voice, self.language)
            with Stoppable() as signals:
                return await self._say(orchestrator, request, spoken, watch)
            if spoken.job is not None:
                spoken.job = await orchestrator.cancel(spoken.job.task.id, owner=self.owner)
        raise Stopped(signals.number)

    async def _say(
        self, orchestrator: Orchestrator, request: SpeechRequest, spoken: Spoken, watch: Watch
    ) -> StoredAudio:
        # Shielded, or a signal might leave a job behind whose id we never learned.
        with anyio.CancelScope(shield=True):
            spoken.job = job = await orchestrator.submit(request, owner=self.owner)
        spoken.job = job = await self._follow(orchestrator, job, watch)
        audio = _audio(job.task)
        spoken.out = await self._copy(orchestrator, audio)
        return audio

    async def _follow(self, orchestrator: Orchestrator, job: Job, watch: Watch) -> Job:
        pause = _FIRST_PAUSE
        while not job.task.status.terminal:
            job = await orchestrator.poll_once(job.task.id, owner=self.owner)
            watch(job)
            if not job.task.status.terminal:
                await anyio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        return job

    async def _copy(self, orchestrator: Orchestrator, audio: StoredAudio) -> str:
        extension = audio.key.rpartition(".")[2]
        async with orchestrator.blobs.open(audio.key) as blob:
            return await self.target.write(blob.chunks, extension)


def _audio(task: Task) -> StoredAudio:
    if task.audio is None:
        error = task.error or ErrorInfo.of(InternalError())
        # Whoever runs a command is the operator too, and has no log to look into.
        why = f" ({error.code}: {error.detail})" if error.detail else ""
        raise TtsorchError(f"{error.message}{why}", code=error.code)
    return task.audio
