"""What keeps the rows of owners' voices."""

from typing import Protocol

from ttsorch.models import Page, Voice, VoiceSource


class VoiceStore(Protocol):
    """The owners' own voices. One class per database is both this and a :class:`.TaskStore`; of rows that
    can't be read the same is true."""

    async def add_voice(self, voice: Voice, *, of_task: str | None = None) -> bool:
        """Insert a voice; False if its id is taken, whoever has it. With ``of_task`` only if its owner still
        has that task, hidden or not: what a purge has removed brings no voice any more."""
        ...

    async def get_voice(
        self, owner: str, voice_id: str, *, include_deleted: bool = False
    ) -> Voice | None:
        """The voice, unless it is missing or another owner's; or deleted, when that counts."""
        ...

    async def list_voices(
        self,
        owner: str,
        *,
        page: int = 1,
        per_page: int = 20,
        search: str = "",
        source: VoiceSource | None = None,
    ) -> Page[Voice]:
        """The owner's voices, newest first, deleted ones left out; ``search`` as for generations, over
        the name."""
        ...

    async def delete_voice(self, owner: str, voice_id: str) -> bool:
        """Set ``deleted_at``. True also when it was deleted before; False if there never was one."""
        ...
