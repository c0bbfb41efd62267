"""What is refused before anything is written."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttsorch.capabilities import canonical_language, check, count_characters, is_blank
from ttsorch.errors import ValidationError
from ttsorch.models import Capabilities
from ttsorch.testing.speech import a_request

CAPABILITIES = Capabilities(max_text_chars=10, languages=("English", "Deutsch"))


def refusal(text: str = "Hello", language: str = "Auto", provider: str = "fake") -> ValidationError:
    request = replace(a_request(text), language=language)
    with pytest.raises(ValidationError) as caught:
        check(request, provider, CAPABILITIES)
    return caught.value


@given(st.text())
def test_text_is_counted_as_a_browser_counts_it(text: str) -> None:
    """UTF-16 code units: an emoji is two (contract C9)."""
    assert count_characters(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


@pytest.mark.parametrize("text", ["1234567890", "😀😀😀😀😀", "a"])
def test_a_text_of_exactly_the_limit_passes(text: str) -> None:
    """The limit itself is allowed."""
    check(a_request(text), "fake", CAPABILITIES)


@pytest.mark.parametrize("text", ["12345678901", "😀😀😀😀😀a", "x" * 1_000_000])
def test_a_text_over_the_limit_is_refused_with_the_limit(text: str) -> None:
    """The sentence is the contract's."""
    error = refusal(text)
    assert error.message == "Text cannot exceed 10 characters"
    assert (error.code, error.limit, error.http_status) == ("text_too_long", 10, 400)


@pytest.mark.parametrize("text", ["", "  \n\t", "\u200b\u200d", "\ufeff", "\u0301", "\x01"])
def test_a_text_without_anything_to_speak_is_refused(text: str) -> None:
    """Blank, zero-width, control and combining characters alone say nothing."""
    assert is_blank(text)
    assert refusal(text).message == "Please enter text to speak"


@pytest.mark.parametrize("text", ["a", "…", "😀", "你", "é"])
def test_anything_visible_is_not_blank(text: str) -> None:
    """Punctuation and emoji may be spoken."""
    assert not is_blank(text)


@pytest.mark.parametrize("text", ["a\0b", "a\ud800", "\udfff"])
def test_characters_that_no_database_can_keep_are_refused(text: str) -> None:
    """NUL and lone surrogates."""
    assert refusal(text).code == "text_encoding"


def test_a_voice_of_another_provider_is_refused_with_advice() -> None:
    """The 409 of the contract, section 3."""
    error = refusal(provider="qwen")
    assert error.http_status == 409
    assert error.message == (
        "Voice belongs to provider 'fake'. Switch provider mode or create a qwen voice."
    )


@pytest.mark.parametrize("language", ["Auto", "auto", "English", "ENGLISH", "deutsch"])
def test_a_known_language_passes_in_any_case(language: str) -> None:
    """Old clients write languages as they like."""
    check(replace(a_request(), language=language), "fake", replace(CAPABILITIES, max_text_chars=99))


def test_an_unknown_language_is_refused_with_some_that_are_known() -> None:
    """The list is shown, but never a hundred of them."""
    assert refusal(language="Klingon").message == (
        "This language is not supported. Supported: English, Deutsch."
    )
    many = replace(CAPABILITIES, languages=tuple(f"L{n}" for n in range(30)))
    with pytest.raises(ValidationError, match=r"L19, …\.$"):
        check(replace(a_request("Hi"), language="x"), "fake", many)


def test_a_provider_without_a_list_takes_any_language() -> None:
    """Only what can't be expressed is refused."""
    anything = replace(CAPABILITIES, languages=())
    check(replace(a_request("Hi"), language="Klingon"), "fake", anything)


@pytest.mark.parametrize(
    ("language", "canonical"),
    [
        ("english", "English"),
        ("DEUTSCH", "Deutsch"),
        ("auto", "Auto"),
        ("Klingon", "Klingon"),
        ("", ""),
    ],
)
def test_a_language_has_one_spelling(language: str, canonical: str) -> None:
    """The listed one; what isn't listed is somebody else's to refuse."""
    assert canonical_language(language, ("English", "Deutsch")) == canonical
