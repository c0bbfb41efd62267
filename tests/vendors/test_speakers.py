"""What the fake vendors say."""

import anyio
import pytest

from tests.providers.recordings import measure
from ttsorch.testing.speakers import engine_speaker, tone_speaker

pytestmark = pytest.mark.anyio


async def test_a_tone_is_short_and_follows_from_its_text() -> None:
    """The same text sounds the same, another one is of another length."""
    first, again, other = [await tone_speaker(text) for text in ("one", "one", "two")]
    assert first == again
    assert len(first) != len(other)
    assert 0.1 <= measure(first).duration <= 0.3
    assert measure(first).sample_rate == 24_000


async def test_the_engine_really_speaks() -> None:
    """A sentence takes longer than a word, and neither is silence."""
    speak = engine_speaker()
    word, sentence = await speak("One."), await speak("One two three four five six seven.")
    assert measure(sentence).duration > measure(word).duration > 0.2
    assert measure(word).loudness > 100


async def test_the_engine_reads_a_text_in_the_language_it_was_made_for() -> None:
    """The same letters are other sounds in another language."""
    text = "Paris la nuit"
    assert await engine_speaker("French")(text) != await engine_speaker("English")(text)


async def test_two_texts_at_once_don_t_mix() -> None:
    """One speaker serves all jobs of a fake."""
    speak = engine_speaker()
    spoken: dict[str, bytes] = {}

    async def say(text: str) -> None:
        spoken[text] = await speak(text)

    async with anyio.create_task_group() as group:
        for text in ("One.", "Two."):
            group.start_soon(say, text)
    assert spoken["One."] == await speak("One.")
    assert spoken["One."] != spoken["Two."]
