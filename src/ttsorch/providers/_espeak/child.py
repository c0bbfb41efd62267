"""The program that speaks: one text, one run of espeak-ng, then it exits.

The engine is GPL-3.0, keeps its state in globals and is C that reads untrusted text, so it never shares a
process with the server. This file is started by its path, imports nothing of ttsorch, and stays small,
because every text pays for its start.

- standard input: one line of JSON with ``library, data, voice, text, rate, pitch, volume``; then it stays
  open. Its end means that the parent is gone, and so are we, at once, whatever the engine is doing.
- standard output: the recording as WAV; has to be a file, because the sizes in a WAV's header come last.
- standard error: on failure, one last line of JSON with a ``code``. The engine may chat before it.
"""

import ctypes
import json
import os
import sys
import threading
import wave
from typing import IO, Any, TypedDict

#: Exit statuses.
SPOKEN, FAILED, ORPHANED = 0, 1, 3

# From espeak-ng's speak_lib.h.
_SYNCHRONOUS = 2
_BUFFER_MILLISECONDS = 500
_DONT_EXIT = 0x8000
_CHARS_ARE_UTF8 = 1  # and neither SSML (0x10) nor phonemes in brackets (0x100): text is literal
_RATE, _VOLUME, _PITCH = 1, 2, 3
_GO_ON, _STOP = 0, 1

#: Below this volume the engine's samples are all zero, and whoever asked for it wants silence.
_AUDIBLE_VOLUME = 2

#: The web process that started us has clients waiting; a recording can give way to it.
_NICENESS = 5

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Job(TypedDict):
    """One line of standard input."""

    library: str
    data: str
    voice: str
    text: str
    rate: int
    pitch: int
    volume: int


class SpeechError(Exception):
    """The engine won't or can't speak this. ``code`` is stable; the parent maps it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Recorder:
    """Writes what the engine says. Called from C, where an exception can't pass: it is kept instead."""

    def __init__(self, output: wave.Wave_write) -> None:
        self._output = output
        self.heard = False
        self.samples = 0
        self.error: OSError | None = None

    def __call__(self, samples: Any, count: int, _events: object) -> int:
        if not samples or count <= 0:
            return _GO_ON
        sound = ctypes.string_at(samples, count * 2)
        self.samples += count
        self.heard = self.heard or sound.count(0) < len(sound)
        try:
            self._output.writeframesraw(sound)
        except OSError as error:
            self.error = error
            return _STOP
        return _GO_ON


def speak(engine: ctypes.CDLL, job: Job, output: IO[bytes]) -> None:
    """Write the recording of ``job`` to ``output`` as 16-bit mono WAV.

    Raises:
        SpeechError: ``engine_not_started``, ``voice_missing``, ``synthesis_failed``, ``no_speech``.
        OSError: the output can't be written.
    """
    sample_rate = _start(engine, job)
    with wave.open(output, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        recorder = Recorder(file)
        _synthesize(engine, job["text"], recorder)
    if recorder.error is not None:
        raise recorder.error
    if not recorder.samples or not (recorder.heard or job["volume"] < _AUDIBLE_VOLUME):
        raise SpeechError("no_speech")


def _start(engine: ctypes.CDLL, job: Job) -> int:
    # The engine cuts paths at 160 bytes, and a virtual environment may lie deeper than that.
    os.chdir(os.path.dirname(job["data"]))
    folder = os.path.basename(job["data"]).encode()
    sample_rate = engine.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MILLISECONDS, folder, _DONT_EXIT)
    if sample_rate <= 0:
        raise SpeechError("engine_not_started")
    if engine.espeak_SetVoiceByName(job["voice"].encode()) != 0:
        raise SpeechError("voice_missing")
    for parameter, value in (
        (_RATE, job["rate"]),
        (_VOLUME, job["volume"]),
        (_PITCH, job["pitch"]),
    ):
        engine.espeak_SetParameter(parameter, value, 0)
    return int(sample_rate)


def _synthesize(engine: ctypes.CDLL, text: str, recorder: Recorder) -> None:
    callback = _Callback(recorder)
    engine.espeak_SetSynthCallback(callback)
    encoded = text.encode()
    status = engine.espeak_Synth(
        encoded, ctypes.c_size_t(len(encoded) + 1), 0, 0, 0, _CHARS_ARE_UTF8, None, None
    )
    engine.espeak_Synchronize()
    if status != 0 and recorder.error is None:
        raise SpeechError("synthesis_failed")


def _leave_with_the_parent(descriptor: int) -> None:
    while os.read(descriptor, 4096):
        pass
    # Not sys.exit: the main thread is inside the engine and would not hear of it.
    os._exit(ORPHANED)


def main() -> int:
    """Read the job, speak it, and give the exit status."""
    line = sys.stdin.buffer.readline()
    threading.Thread(target=_leave_with_the_parent, args=(sys.stdin.fileno(),), daemon=True).start()
    try:
        job: Job = json.loads(line)
        if sys.platform != "win32":
            os.nice(_NICENESS)
        speak(ctypes.CDLL(job["library"]), job, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except SpeechError as error:
        return _complain(error.code)
    except OSError as error:
        return _complain("engine_io_failed", error.strerror or str(error))
    return SPOKEN


def _complain(code: str, reason: str = "") -> int:
    sys.stderr.write("\n" + json.dumps({"code": code, "reason": reason}) + "\n")
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
