"""A text as the engine has to be given it, so that nothing in it is obeyed and nothing is lost.

espeak-ng 1.52 keeps a word in a buffer of 200 phonemes and a clause in one of 800 bytes, and silently drops
what doesn't fit. Of pictures that stand side by side it says only the first word each; two flags in a row
are not said at all.
"""

import re
import unicodedata
from collections.abc import Iterator

#: U+0001 begins a command to the engine, NUL ends its text, and a lone surrogate has no UTF-8. Line breaks
#: and tabs stay: they are pauses.
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

# One picture as Unicode composes it (UTS #51): a flag of two letters, or symbols with their variation
# selectors, skin tones and tags, joined by U+200D.
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
_SYMBOL = (
    "[\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]"
    "[\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"
)
_PICTURE = re.compile(f"{_FLAG}|{_SYMBOL}(?:\u200d{_SYMBOL})*")

#: Letters and digits in a row that surely fit the engine's word. Thai and Burmese don't put spaces between
#: words, so there a run is a sentence; elsewhere hardly any word is this long.
_LONGEST_RUN = 40

#: Characters without any white space that surely fit its clause, at two bytes each.
_LONGEST_STRETCH = 400

#: To the engine an apostrophe is a letter.
_APOSTROPHES = "'\u2019"


def speakable(text: str) -> str:
    """``text`` with spaces for what the engine would obey, between pictures, and in endless words."""
    literal = _UNSPEAKABLE.sub(" ", text)
    return "".join(_broken_up(_PICTURE.sub(r"\g<0> ", literal)))


def _broken_up(text: str) -> Iterator[str]:
    run = stretch = 0
    for character in text:
        kind = unicodedata.category(character)[0]
        if character.isspace():
            run = stretch = 0
        elif kind in "PS" and character not in _APOSTROPHES:
            run = 0
        elif kind in "LN":
            # Only here, because a combining mark or a joiner belongs to the letter before it.
            if run >= _LONGEST_RUN or stretch >= _LONGEST_STRETCH:
                yield " "
                run = stretch = 0
            run += 1
        stretch += 1
        yield character
