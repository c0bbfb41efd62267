"""Names of downloads: readable, and never raw."""

import pytest

from ttsorch.contract.filenames import content_disposition, download_name
from ttsorch.testing.naughty_strings import NAUGHTY_STRINGS


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Hello, world.", "Hello, world.wav"),
        ("  one\r\n two\t", "one two.wav"),
        ("../../etc/passwd", "etc passwd.wav"),
        ('a"b;c\\d', "a b c d.wav"),
        ("\u202eabc", "abc.wav"),
        ("...", "speech.wav"),
        ("", "speech.wav"),
        ("こんにちは", "こんにちは.wav"),
        ("a" * 100, "a" * 60 + ".wav"),
        ("word " * 30, "word word word word word word word word word word word word.wav"),
    ],
)
def test_a_name_is_made_from_what_is_said(text: str, name: str) -> None:
    """Cut at a word, without separators, controls or direction marks."""
    assert download_name(text, "wav") == name


@pytest.mark.parametrize("text", NAUGHTY_STRINGS, ids=lambda text: repr(text[:12]))
def test_no_text_breaks_the_header(text: str) -> None:
    """It stays one line of printable ASCII with one quoted string."""
    header = content_disposition(download_name(text, "wav"), download=True)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert header.startswith('attachment; filename="')


def test_a_name_without_any_ascii_still_has_a_fallback() -> None:
    """Old clients get a name with the true extension."""
    assert content_disposition("こ.wav", download=False) == (
        "inline; filename=\"speech.wav\"; filename*=UTF-8''%E3%81%93.wav"
    )
