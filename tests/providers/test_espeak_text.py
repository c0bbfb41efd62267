"""What is changed in a text so that the engine reads all of it and obeys none of it."""

import pytest

from ttsorch.providers._espeak.text import speakable


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world. It's half past five!",
        "<b>[[x]]</b> &amp; {SSML}\n\tnext line\r\n",
        "你好，世界。",
        "สวัสดีครับ",
        "Donaudampfschifffahrtsgesellschaft",
        "https://example.com/" + "/".join(["a1b2c3"] * 30),
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Nothing is added to or taken from a text that the engine can read as it is."""
    assert speakable(text) == text


@pytest.mark.parametrize("character", ["\0", "\x01", "\x1b", "\x7f", "\x85", "\ud83d"])
def test_what_is_no_text_becomes_a_space(character: str) -> None:
    """Control characters, the engine's own command character, and lone surrogates are spaces."""
    assert speakable(f"a{character}b") == "a b"


@pytest.mark.parametrize(
    ("text", "pictures"),
    [
        ("🎉🎉", ["🎉", "🎉"]),
        ("🇬🇧🇫🇷", ["🇬🇧", "🇫🇷"]),
        ("👍🏽👍", ["👍🏽", "👍"]),
        ("👩‍❤️‍💋‍👩☎️", ["👩‍❤️‍💋‍👩", "☎️"]),
        ("🏴󠁧󠁢󠁥󠁮󠁧󠁿🤷‍♀️", ["🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🤷‍♀️"]),
    ],
)
def test_pictures_stand_apart(text: str, pictures: list[str]) -> None:
    """Each emoji is a word of its own, and none is taken apart."""
    assert speakable(text).split() == pictures


@pytest.mark.parametrize("unit", ["a", "ส", "7", "字", "a'", "a\u200d"])
def test_endless_words_are_broken_up(unit: str) -> None:
    """No run of letters and digits is longer than the engine's word buffer takes, and none is lost."""
    broken = speakable(unit * 1000)

    assert max(sum(map(str.isalnum, run)) for run in broken.split(" ")) == 40
    assert broken.replace(" ", "") == unit * 1000


def test_a_break_never_comes_before_a_combining_mark() -> None:
    """An accent stays with its letter."""
    pieces = speakable("e\u0301" * 200).split(" ")

    assert len(pieces) > 1
    assert all(piece.startswith("e") and piece.endswith("\u0301") for piece in pieces)


def test_a_text_without_spaces_is_broken_up() -> None:
    """Punctuation ends a word but not the engine's clause, which has an end too."""
    pieces = speakable("ab/" * 1000).split(" ")

    assert max(map(len, pieces)) <= 402
    assert "".join(pieces) == "ab/" * 1000
