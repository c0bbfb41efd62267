"""The memory store's tables, and the reading and writing of a row."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from ttsorch.models import Effect, Generation, Job, Pause, StuckTask, Task, TaskKind, Voice
from ttsorch.store._rows import task_from_row, task_to_row


@dataclass(frozen=True, slots=True)
class Rows:
    """All that a store holds, by id."""

    tasks: dict[str, Task] = field(default_factory=dict)
    generations: dict[str, Generation] = field(default_factory=dict)
    voices: dict[str, Voice] = field(default_factory=dict)
    effects: dict[str, Effect] = field(default_factory=dict)
    failures: dict[str, tuple[int, str]] = field(default_factory=dict)
    pauses: dict[str, Pause] = field(default_factory=dict)

    def job(self, task: Task) -> Job:
        return Job(task, self.generations.get(task.generation_id or ""))

    def own(self, owner: str, task_id: str) -> Task | None:
        task = self.tasks.get(task_id)
        return task if task and task.owner == owner else None

    def visible(self, owner: str, task_id: str) -> Task | None:
        task = self.own(owner, task_id)
        return task if task and task.deleted_at is None else None

    def own_generation(self, owner: str, generation_id: str) -> Generation | None:
        generation = self.generations.get(generation_id)
        return generation if generation and generation.owner == owner else None

    def own_voice(self, owner: str, voice_id: str) -> Voice | None:
        voice = self.voices.get(voice_id)
        return voice if voice and voice.owner == owner else None

    def at_version(self, task: Task, version: int) -> Task | None:
        stored = self.tasks.get(task.id)
        return (
            stored if stored and (stored.owner, stored.version) == (task.owner, version) else None
        )

    def pause_of(self, task: Task, now: datetime) -> Pause | None:
        """The one that is on for the task's provider."""
        pause = self.pauses.get(task.provider)
        return pause if pause and pause.until > now else None

    def stuck(self, task: Task) -> StuckTask:
        failures, reason = self.failures[task.id]
        return StuckTask(
            id=task.id,
            owner=task.owner,
            provider=task.provider,
            kind=task.kind.value,
            phase=task.phase.value,
            failures=failures,
            reason=reason,
            next_action_at=task.next_action_at,
        )

    def update(self, stored: Task, task: Task, generation: Generation | None) -> Task:
        """Write over what ``stored`` holds, but for the fields that are the store's own."""
        kept = replace(
            task,
            poll_count=stored.poll_count,
            fence=stored.fence,
            deleted_at=stored.deleted_at,
        )
        if generation is not None and not self.own_generation(stored.owner, generation.id):
            generation = None
        self.failures.pop(task.id, None)
        return self.store(kept, generation).task

    def store(self, task: Task, generation: Generation | None) -> Job:
        # Through a row and back, so that a caller's later change to a mapping of its own stays its own.
        task = self.tasks[task.id] = task_from_row(task_to_row(task))
        if generation is not None:
            self.generations[generation.id] = generation
        return Job(task, generation)

    def named_keys(self) -> set[str | None]:
        """The blobs that rows name."""
        holders: Iterable[Generation | Task] = (
            *self.generations.values(),
            *(task for task in self.tasks.values() if task.generation_id is None),
        )
        referenced: set[str | None] = {holder.audio.key for holder in holders if holder.audio}
        referenced |= {voice.reference_audio_key for voice in self.voices.values()}
        referenced |= {
            task.voice.reference_audio_key
            for task in self.tasks.values()
            if task.kind is TaskKind.CLONE
            and (not task.status.terminal or task.voice.provider_voice_id is not None)
        }
        return referenced
