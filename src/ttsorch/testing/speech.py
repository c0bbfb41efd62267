"""Small, real pieces of audio, voices and requests for tests."""

import math
import struct

from ttsorch.models import SpeechRequest, Voice


def tone_wav(seconds: float = 0.25, *, rate: int = 8000) -> bytes:
    """A 440 Hz tone: 16-bit mono WAV with honest sizes."""
    samples = b"".join(
        struct.pack("<h", int(12_000 * math.sin(2 * math.pi * 440 * n / rate)))
        for n in range(int(seconds * rate))
    )
    header = struct.pack("<4sI4s", b"RIFF", 36 + len(samples), b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    return header + form + struct.pack("<4sI", b"data", len(samples)) + samples


def a_voice(provider: str = "fake") -> Voice:
    """A built-in voice of ``provider``."""
    return Voice(id="9f1c4f0e-6d3a-5b1e-8a37-5d5f2f6b7c10", name="Anna", tts_provider=provider)


def a_request(text: str = "Hello, world.", provider: str = "fake") -> SpeechRequest:
    """A request that every fake takes."""
    return SpeechRequest(text=text, voice=a_voice(provider))
