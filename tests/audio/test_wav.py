"""WAV at the gate: honest headers, streamed ones, and lies."""

from struct import pack

import pytest

from tests.audio.clips import (
    ADPCM,
    HTML,
    chunk,
    fixture,
    pass_gate,
    wav,
    wav_format,
)
from ttsorch.errors import CorruptResult

pytestmark = pytest.mark.anyio

SAMPLES = b"\x01\x80" * 4000  # half a second at 8 kHz
UNKNOWN_SIZES = [0, 0xFFFFFFFF, 0xFFFFFFDB, 0x7FFFFFFF, 0x7FFFF000, 0x7FFF0000, 0x80000000]
LIST = chunk(b"LIST", b"INFOISFT\x05\0\0\0Lavf\0\0")


def rf64(
    *, data_size: int, riff_size: int, ds64: bytes | None = None, samples: bytes = SAMPLES
) -> bytes:
    sizes = chunk(b"ds64", pack("<QQQI", riff_size, data_size, 0, 0) if ds64 is None else ds64)
    plain = wav(samples, size=0xFFFFFFFF, riff_size=0xFFFFFFFF)
    return b"RF64" + plain[4:12] + sizes + plain[12:]


async def refusal(data: bytes) -> str:
    with pytest.raises(CorruptResult) as caught:
        await pass_gate(data)
    return caught.value.code


@pytest.mark.parametrize(
    "data",
    [
        wav(SAMPLES),
        wav(SAMPLES, before=LIST),
        wav(SAMPLES, before=chunk(b"odd ", b"abc")),
        wav(SAMPLES, after=LIST),
        wav(SAMPLES, after=LIST, riff_size=len(wav(SAMPLES)) - 8),
        wav(SAMPLES, riff_size=len(wav(SAMPLES))),
        wav(SAMPLES, riff_size=10),
        wav(SAMPLES) + HTML,
        wav(SAMPLES, fmt=wav_format(byte_rate=1)),
        wav(SAMPLES[:4000], fmt=wav_format(tag=7, bits=8)),
        wav(SAMPLES * 6, fmt=wav_format(tag=3, channels=3, bits=32)),
        wav(SAMPLES, fmt=wav_format()[:4] + pack("<I", 18) + wav_format()[8:] + b"\0\0"),
    ],
)
async def test_an_honest_wav_lasts_as_long_as_its_samples(data: bytes) -> None:
    """The duration is exact, whatever is around the samples and whatever byte rate is stated."""
    assert (await pass_gate(data)).duration == 0.5


async def test_samples_of_an_odd_size_are_padded() -> None:
    """The pad byte after an odd number of bytes belongs to the file and is no sound."""
    data = wav(SAMPLES[:4001], fmt=wav_format(bits=8), after=LIST)
    assert (await pass_gate(data)).duration == 4001 / 8000


@pytest.mark.parametrize("size", UNKNOWN_SIZES)
@pytest.mark.parametrize("riff_size", [0, 36, 0xFFFFFFFF, 0x7FFFF024, None])
async def test_a_streamed_wav_lasts_as_long_as_what_came(size: int, riff_size: int | None) -> None:
    """A header that was written before the sizes were known is accepted; the bytes that came count."""
    data = wav(SAMPLES, size=size, riff_size=riff_size)
    assert (await pass_gate(data)).duration == 0.5


@pytest.mark.parametrize("size", UNKNOWN_SIZES)
@pytest.mark.parametrize("samples", [b"", LIST])
async def test_a_wav_without_samples_is_empty(size: int, samples: bytes) -> None:
    """A header alone, honest or streamed, is no sound; nor is one with only a comment after it."""
    data = wav(b"", size=size, riff_size=0xFFFFFFFF)
    if size == 0:
        data += samples
    assert await refusal(data) == "result_empty"


@pytest.mark.parametrize(
    "data", [wav(), wav(after=LIST), rf64(data_size=80, riff_size=152, samples=bytes(80))]
)
async def test_a_cut_at_any_byte_is_told(data: bytes) -> None:
    """However little is missing at the end of a WAV with honest sizes, it doesn't pass."""
    await pass_gate(data)
    for end in range(len(data)):
        if end != len(data) - 8 or not data.endswith(LIST):
            assert await refusal(data[:end]) in (
                "corrupt_result",
                "result_not_audio",
                "result_empty",
            )


async def test_a_missing_comment_of_eight_bytes_is_forgiven() -> None:
    """The one cut that is not told: eight bytes after whole samples look like a common writer's mistake."""
    assert (await pass_gate(wav(SAMPLES, after=LIST)[:-8])).duration == 0.5


@pytest.mark.parametrize("missing", [1, 2, 799])
async def test_samples_that_were_promised_have_to_come(missing: int) -> None:
    """Fewer samples than the header says are a cut, and the error says so."""
    with pytest.raises(CorruptResult, match="cut short"):
        await pass_gate(wav()[:-missing])


async def test_samples_beyond_the_promise_are_not_counted() -> None:
    """A data size that is too small is believed: what follows is not sound to a player either."""
    data = wav(SAMPLES * 2, size=len(SAMPLES))
    assert (await pass_gate(data)).duration == 0.5


@pytest.mark.parametrize(
    "fmt",
    [
        b"",
        wav_format(channels=0),
        wav_format(rate=0),
        wav_format(bits=0),
        wav_format(tag=ADPCM, byte_rate=0),
        chunk(b"fmt ", b"\1\0\1\0"),
    ],
)
async def test_a_wav_without_a_usable_format_is_malformed(fmt: bytes) -> None:
    """No format, no channels, no rate or no sample size: nothing could play it."""
    assert await refusal(wav(fmt=fmt)) == "corrupt_result"


@pytest.mark.parametrize(
    "text",
    [
        HTML,
        b"\r\n " + HTML,
        HTML.upper(),
        b"<?xml version='1.0'?><Error/>",
        b'{"error":"x"}',
        b'[{"e":1}]',
    ],
)
@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF])
async def test_text_in_the_place_of_samples_is_no_audio(text: bytes, size: int | None) -> None:
    """A server that wraps its own error page into a WAV header is seen through."""
    assert await refusal(wav(text, size=size)) == "result_not_audio"


async def test_a_page_after_the_magic_bytes_is_malformed() -> None:
    """The twelve bytes that make a WAV don't make HTML into one."""
    assert await refusal(b"RIFF\0\0\0\0WAVE" + HTML) == "corrupt_result"


async def test_samples_that_begin_like_text_are_samples() -> None:
    """Two bytes that happen to be a brace and a quote don't condemn a recording."""
    data = wav(b'{"' + SAMPLES[2:])
    assert (await pass_gate(data)).duration == 0.5


async def test_coded_samples_are_counted_by_the_fact_chunk() -> None:
    """Samples without a fixed size last as long as the file says there are, not as its byte rate would."""
    assert (await pass_gate(fixture("adpcm.wav"))).duration == 22451 / 11025
    no_fact = wav(SAMPLES, fmt=wav_format(tag=ADPCM, byte_rate=4000))
    assert (await pass_gate(no_fact)).duration == 2.0
    nothing = wav(b"", fmt=wav_format(tag=ADPCM), before=chunk(b"fact", pack("<I", 99)))
    assert await refusal(nothing) == "result_empty"


async def test_rf64_has_its_sizes_in_another_place() -> None:
    """In RF64 the 64-bit sizes count; a cut is told by them."""
    honest = rf64(data_size=len(SAMPLES), riff_size=len(rf64(data_size=0, riff_size=0)) - 8)
    assert (await pass_gate(honest)).duration == 0.5
    assert await refusal(honest[:-1]) == "corrupt_result"
    assert (await pass_gate(rf64(data_size=0, riff_size=0))).duration == 0.5
    assert (await pass_gate(rf64(data_size=0, riff_size=0, ds64=b"\0"))).duration == 0.5


async def test_a_ds64_chunk_in_plain_riff_means_nothing() -> None:
    """Only RF64 has 64-bit sizes."""
    lie = chunk(b"ds64", pack("<QQQ", 1 << 40, 1, 0))
    assert (await pass_gate(wav(SAMPLES, before=lie))).duration == 0.5
