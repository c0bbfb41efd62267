"""The bytes of a request's body, from the data."""

import base64
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from ttsorch.conformance.schema import Content, FormField
from ttsorch.conformance.templates import filled, filled_text

#: Stands in no body of ours, so nothing has to be escaped.
_BOUNDARY = "ttsorch-contract-test-7f3a9c"
#: In hertz; the lowest that every known vendor clones from.
_RATE = 24_000
_CLIP_SECONDS = 4.0
#: Of a body that is shown with a difference, in characters.
_MOST_WORDS = 160


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording to make a voice from. ``transcript`` is what is said in it; some vendors look."""

    content: bytes = field(repr=False)
    content_type: str
    transcript: str = "Test, one, two, three, four."


@dataclass(frozen=True, slots=True)
class Payload:
    """A body with its media type; None where none is to be sent."""

    content: bytes = b""
    content_type: str | None = None


def payload(body: Content | None, values: Mapping[str, object], clip: Clip) -> Payload:
    """What is sent for ``body``; ``clip`` stands for each recording that the data asks for."""
    if body is None:
        return Payload()
    if "data" in body.model_fields_set:
        return Payload(json.dumps(filled(body.data, values)).encode(), "application/json")
    if body.text is not None:
        return Payload(filled_text(body.text, values).encode(), "application/json")
    if body.base64 is not None:
        return Payload(base64.b64decode(body.base64), "application/json")
    if body.multipart is not None:
        parts = [_part(field, values, clip) for field in body.multipart]
        content = b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()
        return Payload(content, f"multipart/form-data; boundary={_BOUNDARY}")
    if body.wav_bytes is not None:
        return Payload(_wav(body.wav_bytes), "audio/wav")
    return Payload(clip.content, clip.content_type)


def described(body: Content) -> str:
    """What is sent, in words, so that requests to one address can be told apart. As it is in the data: no
    value is filled in."""
    if "data" in body.model_fields_set:
        words = json.dumps(body.data, ensure_ascii=False)
    elif body.multipart is not None:
        parts = {part.name: part.file or part.value for part in body.multipart}
        words = f"the form {json.dumps(parts, ensure_ascii=False)}"
    elif body.text is not None:
        words = f"the text {json.dumps(body.text, ensure_ascii=False)}"
    elif body.base64 is not None:
        words = f"the bytes {base64.b64decode(body.base64)!r}"
    elif body.wav_bytes is not None:
        words = f"a WAV of {body.wav_bytes} bytes"
    else:
        words = "a recording"
    return words if len(words) <= _MOST_WORDS else f"{words[:_MOST_WORDS]}…"


@cache
def a_tone() -> Clip:
    """Four seconds of a soft tone: a valid recording, though not of anybody."""
    frames = int(_CLIP_SECONDS * _RATE)
    samples = (int(9000 * math.sin(2 * math.pi * 220 * n / _RATE)) for n in range(frames))
    pcm = b"".join(struct.pack("<h", sample) for sample in samples)
    return Clip(_wav_header(len(pcm)) + pcm, "audio/wav")


def _part(field: FormField, values: Mapping[str, object], clip: Clip) -> bytes:
    disposition = f'form-data; name="{field.name}"'
    content = str(filled(field.value, values)).encode()
    content_type = None
    if field.content is not None:
        sent = payload(field.content, values, clip)
        content, content_type = sent.content, field.content_type or sent.content_type
        disposition += f'; filename="{field.file or "clip.wav"}"'
    head = f"--{_BOUNDARY}\r\ncontent-disposition: {disposition}\r\n"
    if content_type is not None:
        head += f"content-type: {content_type}\r\n"
    return head.encode() + b"\r\n" + content + b"\r\n"


def _wav(size: int) -> bytes:
    header = _wav_header(size - 44)
    return header + bytes(size - len(header))


def _wav_header(length: int) -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, _RATE, _RATE * 2, 2, 16)
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + length, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", length)
    )
