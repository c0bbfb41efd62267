"""Durations against the truth, and against an independent reader of tags."""

from io import BytesIO

import pytest
from tinytag import TinyTag

from tests.audio.clips import fixture, pass_gate

pytestmark = pytest.mark.anyio

#: Made by encoders from a tone of so many seconds.
TRUTH = {
    "cbr.mp3": 8.0,
    "vbr.mp3": 8.0,
    "vbr_xing.mp3": 8.0,
    "tagged_streamed.mp3": 8.0,
    "adts.aac": 8.0,
    "opus.ogg": 8.0,
    "vorbis.ogg": 8.0,
    "flac.ogg": 2.0,
    "seekable.flac": 2.0,
    "streamed.flac": 2.0,
    "reference_encoder.flac": 2.0,
    "index_first.m4a": 8.0,
    "index_last.m4a": 8.0,
    "mulaw.wav": 2.0,
    "rf64.wav": 0.2,
    "streamed.wav": 0.2,
    "adpcm.wav": 2.0,
}
#: What tinytag can't tell: it knows no ADTS and no RF64, and believes headers that were written too early.
UNTOLD = {"adts.aac", "rf64.wav", "streamed.wav", "flac.ogg", "streamed.flac"}


@pytest.mark.parametrize("name", TRUTH)
async def test_durations_are_true(name: str) -> None:
    """Every format's duration is within 2 % of what was encoded."""
    assert (await pass_gate(fixture(name))).duration == pytest.approx(TRUTH[name], rel=0.02)


@pytest.mark.parametrize("name", sorted(TRUTH.keys() - UNTOLD))
async def test_another_reader_agrees(name: str) -> None:
    """Where an independent reader knows the duration, it is ours."""
    theirs = TinyTag.get(file_obj=BytesIO(fixture(name)), tags=False).duration
    assert (await pass_gate(fixture(name))).duration == pytest.approx(theirs, rel=0.002)
