"""What DashScope asks of a clip to clone a voice from.

WAV (16 bit), MP3 or M4A; 3 to 60 seconds, mono, at least 24 kHz, under 10 MB
(https://www.alibabacloud.com/help/en/model-studio/voice-clone-design-http-api, 2026-07-02). Only WAV clips
are measured; of the others the first bytes are looked at.
"""

import base64
import binascii
import io
import re
import wave

from ttsorch.testing._dashscope.wire import Refused, invalid

# In bytes.
_LARGEST = 10 * 1024 * 1024
# In hertz and seconds.
_LOWEST_RATE = 24_000
_SHORTEST = 3
_LONGEST = 60

_DATA_URL = re.compile(r"data:([^;,]+)(?:;[^;,]+)*;base64,", re.ASCII)


def check_clip(data: str) -> None:
    """Raise :class:`Refused` unless ``data`` is a data URL with a clip that can be enrolled.

    A web address is refused as one that couldn't be downloaded from: the fake asks nobody anything.
    """
    if data.startswith(("http://", "https://")):
        raise Refused(400, "BadRequest.InputDownloadFailed", "Failed to download the input audio.")
    head = _DATA_URL.match(data)
    if head is None:
        raise invalid("audio.data must be a data URL in base64, or a URL.")
    try:
        clip = base64.b64decode(data[head.end() :], validate=True)
    except binascii.Error:
        raise invalid("audio.data is not valid base64.") from None
    if len(clip) >= _LARGEST:
        raise Refused(400, "BadRequest.TooLarge", "The audio must be smaller than 10 MB.")
    _check_content(head[1], clip)


def _check_content(media_type: str, clip: bytes) -> None:
    if media_type == "audio/wav":
        _check_wav(clip)
    elif media_type == "audio/mpeg":
        if not (clip.startswith(b"ID3") or (clip[:1] == b"\xff" and clip[1:2] >= b"\xe0")):
            raise _undecodable()
    elif media_type == "audio/mp4":
        if clip[4:8] != b"ftyp":
            raise _undecodable()
    else:
        raise Refused(400, "BadRequest.UnsupportedFileFormat", "The audio format is not supported.")


def _check_wav(clip: bytes) -> None:
    try:
        with wave.open(io.BytesIO(clip)) as audio:
            form = audio.getparams()
            frames = audio.readframes(form.nframes)
    except (wave.Error, EOFError):
        raise _undecodable() from None
    if form.sampwidth != 2 or form.nchannels != 1:
        raise Refused(400, "Audio.PreprocessError", "The audio must be 16 bit, with one channel.")
    if form.framerate < _LOWEST_RATE:
        raise Refused(400, "Audio.AudioRateError", "The sample rate must be at least 24 kHz.")
    seconds = len(frames) / 2 / form.framerate
    if seconds > _LONGEST:
        raise Refused(400, "Audio.DurationLimitError", "The audio must be at most 60 seconds long.")
    if seconds < _SHORTEST:
        raise Refused(400, "Audio.AudioShortError", "The audio must have 3 seconds of speech.")
    if not any(frames):
        raise Refused(400, "Audio.AudioSilentError", "The audio is silent.")


def _undecodable() -> Refused:
    return Refused(400, "Audio.DecoderError", "The audio could not be decoded.")
