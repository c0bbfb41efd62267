"""Which of the engine's voices reads a text.

To espeak-ng a voice *is* a language: a pronunciation, with a timbre that can be laid over it. A text in a
script which that language doesn't write would be spelled out letter by letter ("Chinese letter, Chinese
letter"), so under "Auto" such a text is read by the voice of a language that does write it.
"""

import unicodedata
from collections import Counter

from ttsorch.errors import ValidationError
from ttsorch.providers._espeak.catalog import Catalog, EngineVoice

_AUTO = "auto"
_SHOWN_LANGUAGES = 20

#: Script (the first word of its letters' Unicode names) to the languages that write it, the default first.
_WRITTEN_BY = {
    script: tuple(codes.split())
    for script, codes in {
        "LATIN": "en",
        "ARABIC": "ar fa sd ug ur",
        "ARMENIAN": "hy hyw",
        "BENGALI": "bn as bpy",
        "CJK": "cmn hak ja yue",
        "CYRILLIC": "ru ba be bg bs cv kk ky mk nog sr tt uk uz",
        "DEVANAGARI": "hi kok mr ne",
        "ETHIOPIC": "am ti",
        "GEORGIAN": "ka",
        "GREEK": "el grc",
        "GUJARATI": "gu",
        "GURMUKHI": "pa",
        "HANGUL": "ko",
        "HEBREW": "he",
        "KANA": "ja",
        "KANNADA": "kn",
        "MALAYALAM": "ml",
        "MYANMAR": "my shn",
        "ORIYA": "or",
        "SHAVIAN": "en-shaw",
        "SINHALA": "si",
        "TAMIL": "ta",
        "TELUGU": "te",
        "THAI": "th",
    }.items()
}

#: Languages above that are written in Latin letters too, or whose voice reads those on its own terms.
_ALSO_LATIN = {"bs", "cmn", "en-shaw", "fa-latn", "hak", "sr", "uz", "yue"}

_ONLY_OTHER_SCRIPTS = {
    code for script, codes in _WRITTEN_BY.items() if script != "LATIN" for code in codes
} - _ALSO_LATIN


def reading_voice(catalog: Catalog, voice: EngineVoice, language: str, text: str) -> EngineVoice:
    """The voice to read ``text`` with, when the user chose ``voice`` and ``language``.

    A named language decides, and keeps the user's voice if that is one of its dialects. "Auto" is the
    voice's own language, unless most letters of the text are in a script which that one doesn't write.

    Raises:
        ValidationError: code ``language_unsupported``.
    """
    if language.strip().casefold() == _AUTO:
        return _by_script(catalog, voice, text)
    speaking = catalog.speaking(language)
    if not speaking:
        raise _unsupported(catalog)
    return voice if voice in speaking else speaking[0]


def _by_script(catalog: Catalog, voice: EngineVoice, text: str) -> EngineVoice:
    script = main_script(text)
    if script is None or _writes(voice, script):
        return voice
    return next(iter(catalog.speaking(_WRITTEN_BY[script][0])), voice)


def main_script(text: str) -> str | None:
    """The script of more than half of the letters, if there is one and a language here writes it."""
    letters: Counter[str] = Counter()
    for character, times in Counter(unicodedata.normalize("NFKC", text)).items():
        if character.isalpha():
            letters[_script(character)] += times
    # Japanese mixes kana into Han all the time; Chinese borrows a single one now and then.
    if letters["KANA"] * 4 >= letters["CJK"]:
        letters["KANA"] += letters.pop("CJK", 0)
    script, count = max(letters.items(), key=lambda item: item[1])
    return script if script in _WRITTEN_BY and count * 2 > letters.total() else None


def _script(letter: str) -> str:
    script = unicodedata.name(letter, "").partition(" ")[0]
    return "KANA" if script in ("HIRAGANA", "KATAKANA") else script


def _writes(voice: EngineVoice, script: str) -> bool:
    names = {voice.code, voice.code.partition("-")[0]}
    if script == "LATIN":
        return bool(names & _ALSO_LATIN) or not names & _ONLY_OTHER_SCRIPTS
    return not names.isdisjoint(_WRITTEN_BY[script])


def _unsupported(catalog: Catalog) -> ValidationError:
    languages = catalog.languages()
    shown = ", ".join(languages[:_SHOWN_LANGUAGES])
    more = ", …" if len(languages) > _SHOWN_LANGUAGES else ""
    return ValidationError(
        f"This language is not supported. Supported: {shown}{more}.",
        code="language_unsupported",
        field="language",
    )
