"""What the tests measure on a recording."""

import array
import io
import math
import wave
from dataclasses import dataclass

from ttsorch.models import Attempt, SpeechRequest, Voice
from ttsorch.providers.local import LocalProvider

AMERICAN = "gmw/en-US"


@dataclass(frozen=True)
class Measured:
    """A WAV as its header and its samples say. ``duration`` is in seconds, ``loudness`` the RMS."""

    samples: "array.array[int]"
    sample_rate: int

    @property
    def duration(self) -> float:
        return len(self.samples) / self.sample_rate

    @property
    def loudness(self) -> float:
        return math.sqrt(sum(sample * sample for sample in self.samples) / len(self.samples))


def measure(recording: bytes) -> Measured:
    """Read a whole 16-bit mono WAV, whose header has to agree with its length."""
    with wave.open(io.BytesIO(recording), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        assert file.getnframes() * 2 + 44 == len(recording)
        return Measured(array.array("h", file.readframes(file.getnframes())), file.getframerate())


def engine_voice(identifier: str = AMERICAN) -> Voice:
    """A voice of the embedded engine, as a request names it."""
    return Voice(
        id="", name=identifier, tts_provider="local", provider_voice_id=identifier, owner=None
    )


async def speak(provider: LocalProvider, request: SpeechRequest) -> bytes:
    """The whole recording of ``request``."""
    ready = await provider.submit(request, Attempt("key"))
    assert ready.audio is not None
    async with ready.audio as stream:
        received = b"".join([chunk async for chunk in stream.chunks])
        assert len(received) == stream.length
    return received
