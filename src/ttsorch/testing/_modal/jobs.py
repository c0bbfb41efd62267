"""The jobs of a fake Modal, as its control plane knows them."""

import base64
import secrets
from dataclasses import dataclass, field
from enum import StrEnum

from ttsorch.testing._modal.bodies import LANGUAGES
from ttsorch.testing.speakers import Speaker

_ID_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_call_id() -> str:
    """``fc-`` and 26 characters, as Modal names a function call."""
    return "fc-" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(26))


class CallState(StrEnum):
    """Where a function call is. Modal's public status tells only some of these apart."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass
class ModalJob:
    """One spawned call. What the client sent is as it was sent; ``checks_left`` is how many status checks
    still find it running, None: until a test ends it. ``error`` is what a failed one says."""

    id: str
    text: str = field(repr=False)
    language: str
    ref_audio_base64: str = field(repr=False)
    ref_text: str = field(repr=False)
    max_new_tokens: object
    checks_left: int | None
    state: CallState = CallState.RUNNING
    error: str = field(default="", repr=False)
    audio: bytes = field(default=b"", repr=False)
    checks: int = 0
    due: bool = False

    @property
    def clip(self) -> bytes:
        """The reference recording.

        Raises:
            ValueError: what was sent is no base64.
        """
        return base64.b64decode(self.ref_audio_base64, validate=True)

    def fail(self, error: str) -> None:
        """End it badly."""
        self.state, self.error = CallState.FAILED, error

    def count_check(self) -> None:
        """One more status check asks; the one after the last that finds it running finds it done."""
        self.checks += 1
        if self.checks_left is not None:
            self.due = self.due or self.checks_left <= 0
            self.checks_left -= 1

    async def settle(self, speak: Speaker) -> None:
        """Do the work if it is due: speak, or fail over what the worker can't use."""
        if not self.due or self.state is not CallState.RUNNING:
            return
        try:
            audio = await self._work(speak)
        except Exception as error:  # noqa: BLE001  # a worker's failure is the job's, whatever it is
            self.fail(str(error))
        else:
            # Somebody may have cancelled or failed it while it spoke.
            if self.state is CallState.RUNNING:
                self.state, self.audio = CallState.COMPLETED, audio

    async def _work(self, speak: Speaker) -> bytes:
        if self.language not in LANGUAGES:
            raise ValueError(f"Unsupported language: {self.language}")
        try:
            clip = self.clip
        except ValueError:
            clip = b""
        if not clip:
            raise ValueError("ref_audio_base64 is not valid base64")
        return await speak(self.text)
