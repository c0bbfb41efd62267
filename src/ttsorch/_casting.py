"""Making voices: from a recording (upload, then clone) or from a description (preview, then save).

A call that makes a voice may cost money like any other, so it is a task like any other: its attempt is
committed before it leaves, and the voice it made is on the task's row before anything else happens. What
the user then has is a record; whether the provider keeps a voice of its own behind it is its affair.
"""

import hashlib
import json
import uuid
from dataclasses import replace
from datetime import datetime

from ttsorch._clips import Clips
from ttsorch._driver import Driver
from ttsorch._intake import Intake
from ttsorch._keys import upload_key
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
from ttsorch.errors import (
    NotFound,
    ProviderBusy,
    ProviderUnavailable,
    StorageUnavailable,
    ValidationError,
)
from ttsorch.models import NO_LIMITS, Job, Limits, Status, Task, TaskKind, Voice, VoiceSource
from ttsorch.protocols import Provider, TaskStore, VoiceCloning, VoiceDesign, VoiceStore

#: Contract row R16, in UTF-16 code units.
MAX_DESIGN_TEXT = 500
#: Ours, in UTF-16 code units: a minute of recording has a thousand or two. Vendors take less.
MAX_TRANSCRIPT = 10_000
MAX_DESCRIPTION = 2048

_DESIGNS = uuid.UUID("6f2b7c1e-98a4-4d4b-8a64-5f0f7f5a2c11")
#: So many tries of one voice in a row may have been purged before one that is still there.
_LONGEST_GAP = 5


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

    def clip_key(self, voice_id: str, *, owner: str) -> str:
        check_owner(owner)
        _check_id(voice_id)
        self._store_for("cloning", self._provider.capabilities.cloning)
        return upload_key(owner, voice_id)

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
        _check_id(voice_id)
        draft = self._draft(voice_id, name, language, transcript, description, owner, source)
        # An id that was used stays used: the task that says what it cost may be gone by now.
        if await voices.get_voice(owner, voice_id, include_deleted=True):
            raise _exists()
        if isinstance(self._provider, VoiceCloning):
            voice = await self._clone_at_provider(voices, draft, owner)
        else:
            voice = await self._with_clip(voices, draft, owner)
            if not await voices.add_voice(voice):
                await self._drop_copy(voice)
                raise _exists()
        await self._clips.forget_upload(voice_id, owner=owner)
        return voice

    async def _with_clip(self, voices: VoiceStore, draft: Voice, owner: str) -> Voice:
        formats = self._provider.capabilities.clip_formats
        try:
            key = await self._clips.accept(draft.id, owner=owner, formats=formats)
        except ValidationError as error:
            missing = error.code == "clip_missing"
            # A caller who was quicker made the voice since we looked, and the upload went with that.
            if missing and await voices.get_voice(owner, draft.id):
                raise _exists() from None
            raise
        return replace(draft, reference_audio_key=key)

    async def _clone_at_provider(self, voices: VoiceStore, draft: Voice, owner: str) -> Voice:
        """One task a try. A try that certainly brought nothing, and began nothing, may be followed by
        another; no other one may. What was made before is there without a new upload."""
        number, earlier = await self._last_try(draft, owner)
        if earlier is not None:
            earlier = await self._driver.step_if_due(earlier)
            if not _brought_nothing(earlier.task):
                return await self._made(voices, earlier.task)
        voice = await self._with_clip(voices, draft, owner)
        task = self._intake.task(
            owner,
            voice,
            0,  # a recording has no text to be slow with
            id=_try_id(draft, number + 1),
            kind=TaskKind.CLONE,
            # Tells our row from that of another caller who came at the same time.
            payload_hash=uuid.uuid4().hex,
        )
        try:
            job = await self._intake.send(task, None, limits=NO_LIMITS)
        except ProviderBusy:
            await self._drop_copy(voice)
            raise
        if job.task.voice.reference_audio_key != voice.reference_audio_key:
            await self._drop_copy(voice)
        return await self._made(voices, job.task)

    async def _drop_copy(self, voice: Voice) -> None:
        """No row came to name our copy of the recording: of many callers at once, each has made one. (One may
        name it all the same, where the answer to its insert was lost.)"""
        key = voice.reference_audio_key or ""
        try:
            unnamed = await self._tasks.unreferenced([key])
        except StorageUnavailable:
            return  # it is left for the collection of orphans
        if unnamed:
            await self._clips.forget(key)

    async def _last_try(self, draft: Voice, owner: str) -> tuple[int, Job | None]:
        """How often this was tried, and the last of it. The ids of tries follow from that of the voice, so
        that two callers at once make one task. A purge may have taken an earlier one and not yet the last,
        which may have been paid for: so this looks behind a gap, too."""
        number, last, tried = 0, None, 0
        while number < tried + _LONGEST_GAP:
            number += 1
            job = await self._tasks.get(owner, _try_id(draft, number), include_deleted=True)
            if job is not None:
                tried, last = number, job
        return tried, last

    async def _made(self, voices: VoiceStore, task: Task) -> Voice:
        paid = task.status.terminal and task.voice.provider_voice_id is not None
        if paid:
            # It may have ended, by a deadline or a cancel, before it could add the voice it paid for.
            await voices.add_voice(task.voice, of_task=task.id)
        if paid or task.status is Status.COMPLETED:
            voice = await voices.get_voice(task.owner, task.voice.id)
            if voice is None:
                # It was made, and deleted since; or somebody else has its id. It is taken for good.
                raise _exists()
            return voice
        if task.status.terminal and task.error is not None:
            raise task.error.as_error()
        raise ProviderUnavailable(
            "The voice is still being made. Please try again in a moment.",
            code="voice_in_progress",
            retry_after=max(1.0, self._seconds_until(task.next_action_at)),
        )

    def _seconds_until(self, moment: datetime | None) -> float:
        return (moment - self._tasks.now()).total_seconds() if moment else 0.0

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
        limits: Limits,
    ) -> Job:
        can_design = isinstance(self._provider, VoiceDesign) and self._provider.capabilities.design
        self._store_for("design", can_design)
        check_owner(owner)
        check_text(text, MAX_DESIGN_TEXT)
        _check_words("description", description, MAX_DESIGN_TEXT)
        if is_blank(description):
            raise ValidationError(
                "Please describe the voice", code="description_required", field="description"
            )
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
        return await self._intake.queue(task, None, limits=limits)

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
        # The id was made with the preview: saving twice finds the first one's voice. What a purge took since
        # we looked is not saved: its audio goes too.
        if await voices.add_voice(voice, of_task=task_id):
            return voice
        return _still_there(await voices.get_voice(owner, voice.id))

    async def adopt(
        self, audio: bytes, *, name: str, text: str, language: str, description: str, owner: str
    ) -> Voice:
        """The ids follow from what is adopted, so that a double click makes one voice; each deletion of
        it leads to the next id."""
        voices = self._store_for("cloning", self._provider.capabilities.cloning)
        source = VoiceSource.DESIGNED
        # Made only to be refused here if it has to be: nothing is kept of what can't become a voice.
        draft = self._draft(str(_DESIGNS), name, language, text, description, owner, source)
        language, digest = draft.language, hashlib.sha256(audio).hexdigest()
        words = (name, text, language, description)
        number = 0
        while True:
            number += 1
            voice_id = _design_id(owner, digest, *words, str(number))
            # Nothing is written for an id that is used up: there may be many.
            found = await voices.get_voice(owner, voice_id, include_deleted=True)
            if found is None:
                try:
                    return await self._adopt_as(
                        voice_id,
                        audio,
                        name=name,
                        language=language,
                        transcript=text,
                        description=description,
                        owner=owner,
                    )
                except ValidationError as error:
                    if error.code != "voice_exists":
                        raise
                # Somebody was quicker.
                found = await voices.get_voice(owner, voice_id, include_deleted=True)
            if found is not None and found.deleted_at is None:
                return found

    async def _adopt_as(self, voice_id: str, audio: bytes, *, owner: str, **words: str) -> Voice:
        try:
            await self._clips.upload(self.clip_key(voice_id, owner=owner), audio)
        except ValidationError as error:
            # The same bytes, since the id follows from them: of a call at the same time, or a broken one.
            if error.code != "clip_exists":
                raise
        return await self.clone(voice_id, source=VoiceSource.DESIGNED, owner=owner, **words)

    # --- what both need -------------------------------------------------------------------------------

    def _store_for(self, power: str, available: bool) -> VoiceStore:
        if self._voices is None:
            raise ValidationError(
                "Voices can't be made here: there is no store to keep them in.",
                code="voices_not_kept",
                detail="give the orchestrator its voice store: voices=...",
                http_status=409,
            )
        if not available:
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
        if source is VoiceSource.BUILTIN:
            raise ValidationError("A built-in voice can't be made.", code="source_invalid")
        check_encoding(language)
        _check_words("transcript", transcript or "", MAX_TRANSCRIPT)
        _check_words("description", description or "", MAX_DESCRIPTION)
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


def _try_id(draft: Voice, number: int) -> str:
    return str(uuid.uuid5(uuid.UUID(draft.id), f"clone {number} of {draft.owner}"))


def _design_id(owner: str, *parts: str) -> str:
    return str(uuid.uuid5(_DESIGNS, json.dumps([owner, *parts])))


def _brought_nothing(task: Task) -> bool:
    """Whether it is certain that there is no voice, and no bill for one."""
    ended = task.status in (Status.FAILED, Status.CANCELLED)
    began = task.outcome_open or task.voice.provider_voice_id is not None
    return ended and not began and not (task.error is not None and task.error.started)


def _check_id(voice_id: str) -> None:
    try:
        canonical = str(uuid.UUID(voice_id)) == voice_id
    except ValueError:
        canonical = False
    if not canonical:
        raise ValidationError(
            "The id of a voice must be a UUID in its usual form.",
            code="voice_id_invalid",
            field="voice_id",
        )


def _check_words(field: str, words: str, limit: int) -> None:
    # Counted first, like a text to speak: nothing huge is walked through.
    if len(words) > limit or count_characters(words) > limit:
        raise ValidationError(
            f"The {field} cannot exceed {limit} characters",
            code=f"{field}_too_long",
            field=field,
            limit=limit,
        )
    check_encoding(words)


def _exists() -> ValidationError:
    return ValidationError(
        "This voice exists already.", code="voice_exists", field="voice_id", http_status=409
    )


def _still_there(voice: Voice | None) -> Voice:
    if voice is None:
        raise NotFound("Voice not found.", code="voice_not_found")
    return voice
