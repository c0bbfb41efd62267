"""Which voice reads a text."""

import pytest

from ttsorch.errors import ValidationError
from ttsorch.providers._espeak.language import main_script, reading_voice
from ttsorch.providers.local import LocalProvider

CATALOG = LocalProvider()._catalog


def reader(text: str, *, voice: str = "gmw/en-US", language: str = "Auto") -> str:
    chosen = CATALOG.voice(voice)
    assert chosen is not None
    return reading_voice(CATALOG, chosen, language, text).identifier


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("床前明月光", "sit/cmn"),
        ("こんにちは", "jpx/ja"),
        ("日本語を話します", "jpx/ja"),
        ("カタカナ", "jpx/ja"),
        ("中文里的一个の字不是日文", "sit/cmn"),
        ("안녕하세요", "ko"),
        ("مرحبا", "sem/ar"),
        ("Привет", "zle/ru"),
        ("नमस्ते", "inc/hi"),
        ("Γειά", "grk/el"),
        ("שלום", "sem/he"),
        ("สวัสดี", "tai/th"),
        ("გამარჯობა", "ccs/ka"),
        ("բարեւ", "ine/hy"),
        ("নমস্কার", "inc/bn"),
        ("வணக்கம்", "dra/ta"),
        ("నమస్కారం", "dra/te"),
        ("ሰላም", "sem/am"),
    ],
)
def test_auto_follows_the_script(text: str, identifier: str) -> None:
    """A text that the voice's language doesn't write is read by a language that does."""
    assert reader(text) == identifier


@pytest.mark.parametrize(
    ("voice", "text"),
    [
        ("gmw/en-US", "Grüße aus München"),
        ("gmw/en-US", "one слово and another"),
        ("gmw/en-US", "12345 + 678"),
        ("gmw/en-US", "🎉"),
        ("gmw/en-US", ""),
        ("gmw/en-US", "ᏣᎳᎩ"),
        ("gmw/en-US", "ＨＥＬＬＯ"),
        ("zle/uk", "Привіт"),
        ("zle/ru-LV", "Привет"),
        ("zls/sr", "Здраво"),
        ("zls/sr", "Zdravo"),
        ("sit/yue", "你好"),
        ("sit/cmn-Latn-pinyin", "nihao"),
        ("jpx/ja", "日本"),
        ("ira/fa", "سلام"),
        ("ira/fa-Latn", "salam"),
        ("gmw/en-Shaw", "𐑖𐑱𐑝𐑾𐑯"),
        ("inc/mr", "नमस्कार"),
    ],
)
def test_auto_keeps_a_voice_that_can_read_the_text(voice: str, text: str) -> None:
    """The voice's own language reads its own scripts, mixed texts, and texts without letters."""
    assert reader(text, voice=voice) == voice


@pytest.mark.parametrize("voice", ["zle/ru", "sem/ar", "jpx/ja", "inc/hi", "ko"])
def test_auto_reads_latin_as_english_for_other_scripts(voice: str) -> None:
    """A language that isn't written in Latin letters leaves them to English."""
    assert reader("Hello, world", voice=voice) == "gmw/en"


@pytest.mark.parametrize(
    ("language", "identifier"),
    [
        ("German", "gmw/de"),
        ("german", "gmw/de"),
        (" DE ", "gmw/de"),
        ("English", "gmw/en-US"),
        ("en", "gmw/en-US"),
        ("English (America)", "gmw/en-US"),
        ("English (Great Britain)", "gmw/en"),
        ("en-gb", "gmw/en"),
        ("Chinese", "sit/cmn"),
        ("zh", "sit/cmn"),
        ("Chinese (Cantonese)", "sit/yue"),
        ("Spanish", "roa/es"),
        ("Portuguese", "roa/pt"),
        ("French", "roa/fr"),
        ("Greek", "grk/el"),
        ("Vietnamese", "aav/vi"),
        ("auto", "gmw/en-US"),
    ],
)
def test_a_named_language_decides(language: str, identifier: str) -> None:
    """A language is named by display name or code in any case, and keeps a voice that is its dialect."""
    assert reader("hello", language=language) == identifier


@pytest.mark.parametrize("language", ["Valyrian", "", "xx", "Faroese"])
def test_an_unknown_language_is_refused(language: str) -> None:
    """What the engine can't speak is refused with some of the languages that it can."""
    with pytest.raises(ValidationError, match=r"Supported: Afrikaans(, [^,]+){19}, …\.") as caught:
        reader("hello", language=language)

    assert (caught.value.code, caught.value.field) == ("language_unsupported", "language")


@pytest.mark.parametrize(
    ("text", "script"),
    [("", None), ("42", None), ("abc абв", None), ("ab а", "LATIN"), ("𝕎𝕠𝕨", "LATIN")],
)
def test_the_main_script_has_more_than_half_of_the_letters(text: str, script: str | None) -> None:
    """Half is not enough, and what isn't a letter doesn't count."""
    assert main_script(text) == script
