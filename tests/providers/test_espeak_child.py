"""The program that speaks, with a scripted engine in place of the library."""

import ctypes
import io
import json
import os
import sys
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import pytest

from ttsorch.providers._espeak import child


class ScriptedEngine:
    """Says ``pieces`` of samples to its callback; each status is what that call returns."""

    def __init__(
        self,
        pieces: Sequence[Sequence[int]] = ((1, -2), (), (3,)),
        *,
        sample_rate: int = 22050,
        voice_status: int = 0,
        status: int = 0,
    ) -> None:
        self.pieces = pieces
        self.sample_rate = sample_rate
        self.voice_status = voice_status
        self.status = status
        self.said: list[bytes] = []
        self.voices: list[bytes] = []
        self.parameters: dict[int, int] = {}
        self.answers: list[int] = []

    def espeak_Initialize(self, mode: int, length: int, data: bytes, options: int) -> int:  # noqa: N802
        return self.sample_rate

    def espeak_SetVoiceByName(self, voice: bytes) -> int:  # noqa: N802
        self.voices.append(voice)
        return self.voice_status

    def espeak_SetParameter(self, number: int, value: int, relative: int) -> None:  # noqa: N802
        self.parameters[number] = value

    def espeak_SetSynthCallback(self, callback: Any) -> None:  # noqa: N802
        self.callback = callback

    def espeak_Synth(self, text: bytes, *_rest: object) -> int:  # noqa: N802
        self.said.append(text)
        for piece in self.pieces:
            samples = (ctypes.c_short * len(piece))(*piece)
            self.answers.append(self.callback(samples, len(piece), None))
        self.answers.append(self.callback(None, 0, None))
        return self.status

    def espeak_Synchronize(self) -> None:  # noqa: N802
        pass


class FullDisk(io.BytesIO):
    """Refuses the samples, but not the header before them or after."""

    def write(self, data: Any) -> int:
        if len(data) == 2:
            raise OSError(28, "No space left on device")
        return super().write(data)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program changes its working directory."""
    monkeypatch.chdir(tmp_path)


def job(folder: str = "/nowhere", **changes: Any) -> child.Job:
    plain = {
        "library": "/nowhere/engine.so",
        "data": str(Path.cwd() / "data"),
        "voice": "gmw/en",
        "text": "héllo",
        "rate": 170,
        "pitch": 40,
        "volume": 90,
    }
    return cast("child.Job", plain | changes)


def speak(engine: ScriptedEngine, output: IO[bytes] | None = None, **changes: Any) -> bytes:
    output = output or io.BytesIO()
    child.speak(cast("ctypes.CDLL", engine), job(**changes), output)
    output.seek(0)
    return output.read()


def test_all_samples_are_recorded() -> None:
    """The recording is a mono WAV at the engine's rate, with every sample and correct sizes."""
    recorded = speak(ScriptedEngine(sample_rate=16000))

    with wave.open(io.BytesIO(recorded)) as file:
        assert file.getparams()[:4] == (1, 2, 16000, 3)
    assert recorded[44:] == b"\x01\0\xfe\xff\x03\0"
    assert int.from_bytes(recorded[4:8], "little") == len(recorded) - 8


def test_the_job_reaches_the_engine() -> None:
    """Voice, parameters and the text as UTF-8 are what the engine is told."""
    engine = ScriptedEngine()
    speak(engine)

    assert (engine.voices, engine.said) == ([b"gmw/en"], ["héllo".encode()])
    assert engine.parameters == {1: 170, 2: 90, 3: 40}


@pytest.mark.parametrize(
    ("engine", "code"),
    [
        (ScriptedEngine(sample_rate=-1), "engine_not_started"),
        (ScriptedEngine(voice_status=2), "voice_missing"),
        (ScriptedEngine(status=1), "synthesis_failed"),
        (ScriptedEngine([]), "no_speech"),
        (ScriptedEngine([(0, 0), (0,)]), "no_speech"),
    ],
)
def test_what_goes_wrong_has_a_code(engine: ScriptedEngine, code: str) -> None:
    """Each failure of the engine, and silence, is told apart."""
    with pytest.raises(child.SpeechError) as caught:
        speak(engine)

    assert caught.value.code == code


def test_silence_that_was_asked_for_is_speech() -> None:
    """At volume zero the engine's samples are zero, and that is right."""
    assert speak(ScriptedEngine([(0, 0)]), volume=0)[44:] == bytes(4)


def test_a_full_disk_stops_the_engine() -> None:
    """What can't be written ends the synthesis and is reported as it is."""
    engine = ScriptedEngine([(1,), (2,)], status=-1)

    with pytest.raises(OSError, match="No space left"):
        speak(engine, FullDisk())

    assert engine.answers[0] == 1


class StandardStreams:
    """Standard input, output and error of the program."""

    def __init__(self, line: str) -> None:
        self.buffer = io.BytesIO(line.encode())
        self.written = ""

    def fileno(self) -> int:
        return 0

    def write(self, text: str) -> None:
        self.written += text


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the program in this process; gives its exit status, its output and its complaint."""

    def run(line: str, engine: object) -> tuple[int, bytes, str]:
        streams = {name: StandardStreams(line) for name in ("stdin", "stdout", "stderr")}
        streams["stdout"].buffer = io.BytesIO()
        for name, stream in streams.items():
            monkeypatch.setattr(sys, name, stream)
        monkeypatch.setattr(child, "_leave_with_the_parent", lambda descriptor: None)
        monkeypatch.setattr(os, "nice", lambda increment: 0)
        if engine is not None:
            monkeypatch.setattr(ctypes, "CDLL", lambda path: engine)
        status = child.main()
        monkeypatch.undo()
        return status, streams["stdout"].buffer.getvalue(), streams["stderr"].written

    return run


def test_the_program_speaks_one_line_of_json(run: Any) -> None:
    """A job on standard input becomes a recording on standard output."""
    status, output, complaint = run(json.dumps(job()) + "\n", ScriptedEngine())

    assert (status, complaint) == (child.SPOKEN, "")
    assert output.startswith(b"RIFF")


def test_the_program_complains_in_one_line_of_json(run: Any) -> None:
    """A failure is an exit status and one line with its code."""
    status, _, complaint = run(json.dumps(job()) + "\n", ScriptedEngine([]))

    assert status == child.FAILED
    assert json.loads(complaint)["code"] == "no_speech"


def test_a_library_that_cannot_be_loaded_is_a_complaint(run: Any) -> None:
    """A missing file is reported, not a traceback."""
    status, _, complaint = run(json.dumps(job()) + "\n", None)

    assert status == child.FAILED
    assert json.loads(complaint)["code"] == "engine_io_failed"


def test_the_end_of_standard_input_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else arrives is ignored; the end means that the parent is gone."""
    exits: list[int] = []
    monkeypatch.setattr(os, "_exit", exits.append)
    reading, writing = os.pipe()
    os.write(writing, b"more")
    os.close(writing)

    child._leave_with_the_parent(reading)

    os.close(reading)
    assert exits == [child.ORPHANED]
