"""Requests for speech: refused before anything is written, or made a job of, once per key."""

from collections.abc import Mapping

from ttsorch._clips import Clips
from ttsorch._driver import Driver
from ttsorch._intake import Intake
from ttsorch._payload_hash import speech_hash
from ttsorch.capabilities import (
    check,
    check_encoding,
    check_idempotency_key,
    check_owner,
    count_characters,
)
from ttsorch.errors import IdempotencyConflict, NotFound
from ttsorch.models import Generation, Job, JsonValue, Limits, SpeechRequest, Task
from ttsorch.protocols import Provider, RequestChecking, TaskStore


class Speaking:
    """Takes requests for one provider's speech."""

    def __init__(
        self, *, provider: Provider, tasks: TaskStore, clips: Clips, intake: Intake, driver: Driver
    ) -> None:
        self._provider = provider
        self._tasks = tasks
        self._clips = clips
        self._intake = intake
        self._driver = driver

    async def submit(
        self, request: SpeechRequest, *, owner: str, idempotency_key: str | None, limits: Limits
    ) -> Job:
        self._check_request(request, owner, idempotency_key)
        if self._provider.capabilities.sends_clip and request.voice.reference_audio_key:
            await self._clips.check(request.voice.reference_audio_key)
        task = self._intake.task(
            owner,
            request.voice,
            count_characters(request.text),
            request=request,
            idempotency_key=idempotency_key,
            payload_hash=speech_hash(
                request.text, request.voice.id, request.language, request.options
            ),
        )
        generation = _generation_of(task, request)
        direct = self._provider.capabilities.direct
        enter = self._intake.queue if direct else self._intake.send
        job = await enter(task, generation, limits=limits)
        return job if job.task.id == task.id else await self._driver.answered(job)

    async def find(
        self,
        idempotency_key: str,
        *,
        text: str,
        voice_id: str,
        owner: str,
        language: str,
        options: Mapping[str, JsonValue],
    ) -> Job | None:
        job = await self._tasks.find_by_key(owner, idempotency_key)
        if job is None:
            return None
        if job.task.payload_hash != speech_hash(text, voice_id, language, options):
            raise IdempotencyConflict
        return await self._driver.answered(job)

    def _check_request(
        self, request: SpeechRequest, owner: str, idempotency_key: str | None
    ) -> None:
        check_owner(owner)
        if idempotency_key is not None:
            check_idempotency_key(idempotency_key)
        check_encoding(request.language)
        if request.voice.owner not in (None, owner):
            raise NotFound("Voice not found", code="voice_not_found")
        check(request, self._provider.name, self._provider.capabilities)
        if isinstance(self._provider, RequestChecking):
            self._provider.check_request(request)


def _generation_of(task: Task, request: SpeechRequest) -> Generation:
    return Generation(
        id=task.generation_id or task.id,
        owner=task.owner,
        task_id=task.id,
        voice_id=request.voice.id,
        voice_name=request.voice.name,
        text=request.text,
        language=request.language,
        created_at=task.created_at,
    )
