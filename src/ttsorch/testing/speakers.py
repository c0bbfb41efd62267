"""What a fake vendor says: a short tone for tests, real speech for people who listen."""

import struct
import zlib
from collections.abc import Awaitable, Callable

from ttsorch.models import Attempt, SpeechRequest
from ttsorch.providers.local import LocalProvider
from ttsorch.testing.speech import tone_wav

#: Text in, a whole WAV file out. What it raises, the fake vendor reports as the failure of the job.
Speaker = Callable[[str], Awaitable[bytes]]

# In Hz, as both vendors of the shipped fakes deliver it.
_RATE = 24_000


async def tone_speaker(text: str) -> bytes:
    """A tone of 0.1 to 0.3 seconds. Its length follows from the text, so that a mix-up of two shows."""
    return tone_wav(0.1 + zlib.crc32(text.encode()) % 4801 / _RATE, rate=_RATE)


def engine_speaker(language: str = "Auto") -> Speaker:
    """The embedded engine (extra ``local``). ``language`` is a name or a tag, or "Auto": what the script of
    a text suggests.

    Raises:
        ConfigurationError: the engine isn't installed.
    """
    provider = LocalProvider()

    async def speak(text: str) -> bytes:
        voice = next(voice for voice in await provider.voices() if voice.language == "English")
        request = SpeechRequest(text=text, voice=voice, language=language)
        ready = await provider.submit(request, Attempt("fake"))
        assert ready.audio is not None
        async with ready.audio as stream:
            return _relabelled(b"".join([chunk async for chunk in stream.chunks]))

    return speak


def _relabelled(wav: bytes) -> bytes:
    """The engine's 22,050 samples a second said to be 24,000, which both vendors deliver and Qwen wants of a
    recording. It speaks a little higher and faster for it, and a fake's voice may."""
    rates = struct.pack("<II", _RATE, 2 * _RATE)
    return wav[:24] + rates + wav[32:]
