"""Making voices: from a recording (upload, then clone) or from a description (preview, then save).

A call that makes a voice may cost money like any other, so it is a task like any other: its attempt is
committed before it leaves, and the voice it made is on the task's row before anything else happens. What
the user then has is a record; whether the provider keeps a voice of its own behind it is its affair.
"""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

from ttsorch._clips import Clips
from ttsorch._driver import Driver
from ttsorch._intake import Intake
from ttsorch.capabilities import (
    canonical_language,
    check_encoding,
    check_language,
    check_owner,
    check_text,
    check_voice_name,
    count_characters,
    is_blank,
)
from ttsorch.errors import NotFound, ProviderUnavailable, ValidationError
from ttsorch.models import Job, Status, Task, TaskKind, Voice, VoiceSource
from ttsorch.protocols import Provider, TaskStore, VoiceCloning, VoiceDesign, VoiceStore

#: Contract row R16, in UTF-16 code units.
MAX_DESIGN_TEXT = 500


class Casting:
    """Makes voices of one provider, and keeps them in one voice store."""

    def __init__(
        self,
        *,
        provider: Provider,
        tasks: TaskStore,
        voices: VoiceStore | None,
        clips: Clips,
        intake: Intake,
        driver: Driver,
    ) -> None:
        self._provider = provider
        self._tasks = tasks
        self._voices = voices
        self._clips = clips
        self._intake = intake
        self._driver = driver

    # --- from a recording -----------------------------------------------------------------------------

    async def upload(
        self, voice_id: str, audio: bytes | AsyncIterator[bytes], *, owner: str
    ) -> None:
        check_owner(owner)
        self._store_for("cloning", self._provider.capabilities.cloning)
        await self._clips.upload(voice_id, audio, owner=owner)

    async def clone(
        self,
        voice_id: str,
        *,
        name: str,
        language: str,
        transcript: str | None,
        source: VoiceSource,
        description: str | None,
        owner: str,
    ) -> Voice:
        capabilities = self._provider.capabilities
        voices = self._store_for("cloning", capabilities.cloning)
        check_owner(owner)
        draft = self._draft(voice_id, name, language, transcript, description, owner, source)
        if await voices.get_voice(owner, voice_id):
            raise _exists()
        key = await self._clips.accept(voice_id, owner=owner, formats=capabilities.clip_formats)
        draft = replace(draft, reference_audio_key=key)
        if isinstance(self._provider, VoiceCloning):
            voice = await self._clone_at_provider(voices, draft, owner)
        else:
            voice = draft
            if not await voices.add_voice(draft):
                raise _exists()
        await self._clips.forget_upload(voice_id, owner=owner)
        return voice

    async def _clone_at_provider(self, voices: VoiceStore, draft: Voice, owner: str) -> Voice:
        """One task a try. A try that certainly brought nothing may be followed by another; one whose
        outcome nobody knows may not."""
        number = 0
        while True:
            number += 1
            task = self._intake.task(
                owner,
                draft,
                count_characters(draft.reference_transcript or ""),
                kind=TaskKind.CLONE,
                # With a colon, so that no user's key is ever the same.
                idempotency_key=f"clone:{draft.id}:{number}",
            )
            job = await self._intake.send(task, None, max_active=None)
            if job.task.id != task.id:
                job = await self._driver.step_if_due(job)
                if _brought_nothing(job.task):
                    continue
            return await self._made(voices, job.task)

    async def _made(self, voices: VoiceStore, task: Task) -> Voice:
        paid = task.status.terminal and task.voice.provider_voice_id is not None
        if paid:
            # It may have ended, by a deadline or a cancel, before it could add the voice it paid for.
            await voices.add_voice(task.voice)
        if paid or task.status is Status.COMPLETED:
            voice = await voices.get_voice(task.owner, task.voice.id)
            if voice is not None or task.error is None:
                return _still_there(voice)
        if task.status.terminal and task.error is not None:
            raise task.error.as_error()
        raise ProviderUnavailable(
            "The voice is still being made. Please try again in a moment.",
            code="voice_in_progress",
            retry_after=5.0,
        )

    # --- from a description ---------------------------------------------------------------------------

    async def preview(
        self,
        *,
        name: str | None,
        text: str,
        language: str,
        description: str,
        owner: str,
        idempotency_key: str | None,
        payload_hash: str,
        max_active: int | None,
    ) -> Job:
        can_design = isinstance(self._provider, VoiceDesign) and self._provider.capabilities.design
        self._store_for("design", can_design)
        check_owner(owner)
        check_text(text, MAX_DESIGN_TEXT)
        check_text(description, MAX_DESIGN_TEXT)
        draft = self._draft(
            str(uuid.uuid4()),
            name or "Designed voice",
            language,
            text,
            description,
            owner,
            VoiceSource.DESIGNED,
        )
        task = self._intake.task(
            owner,
            draft,
            count_characters(text),
            kind=TaskKind.DESIGN_PREVIEW,
            idempotency_key=idempotency_key,
            payload_hash=payload_hash,
        )
        return await self._intake.queue(task, None, max_active=max_active)

    async def save(self, task_id: str, *, name: str | None, owner: str) -> Voice:
        voices = self._store_for("design", True)
        job = await self._tasks.get(owner, task_id, include_deleted=True)
        if job is None or job.task.kind is not TaskKind.DESIGN_PREVIEW:
            raise NotFound("Preview task not found.", code="task_not_found")
        task = job.task
        if task.status is not Status.COMPLETED or task.audio is None:
            raise ValidationError(
                "The preview of this voice is not finished.",
                code="preview_not_finished",
                field="task_id",
                http_status=409,
            )
        if name is not None:
            check_voice_name(name)
        voice = replace(
            task.voice,
            name=name or task.voice.name,
            reference_audio_key=task.audio.key,
            created_at=self._tasks.now(),
        )
        # The id was made with the preview: saving twice finds the first one's voice.
        if await voices.add_voice(voice):
            return voice
        return _still_there(await voices.get_voice(owner, voice.id))

    # --- what both need -------------------------------------------------------------------------------

    def _store_for(self, power: str, available: bool) -> VoiceStore:
        if self._voices is None or not available:
            raise ValidationError(
                f"The provider '{self._provider.name}' does not support voice {power}.",
                code=f"{power}_unsupported",
                http_status=409,
            )
        return self._voices

    def _draft(
        self,
        voice_id: str,
        name: str,
        language: str,
        transcript: str | None,
        description: str | None,
        owner: str,
        source: VoiceSource,
    ) -> Voice:
        check_voice_name(name)
        capabilities = self._provider.capabilities
        for text in (language, transcript or "", description or ""):
            check_encoding(text)
        check_language(language, capabilities.languages)
        if transcript is None or is_blank(transcript):
            if capabilities.sends_clip:
                raise ValidationError(
                    "Please enter the words of the recording.",
                    code="transcript_required",
                    field="transcript",
                )
            transcript = None
        return Voice(
            id=voice_id,
            name=name,
            owner=owner,
            tts_provider=self._provider.name,
            source=source,
            language=canonical_language(language, capabilities.languages),
            description=description,
            reference_transcript=transcript,
            created_at=self._tasks.now(),
        )


def _brought_nothing(task: Task) -> bool:
    if task.outcome_open or task.voice.provider_voice_id is not None:
        return False
    return task.status in (Status.FAILED, Status.CANCELLED)


def _exists() -> ValidationError:
    return ValidationError(
        "This voice exists already.", code="voice_exists", field="voice_id", http_status=409
    )


def _still_there(voice: Voice | None) -> Voice:
    if voice is None:
        raise NotFound("Voice not found.", code="voice_not_found")
    return voice
