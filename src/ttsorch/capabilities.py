"""What a request must be before anybody writes or sends anything.

Pure functions over data: a request and the :class:`~ttsorch.models.Capabilities` of a provider. Only what
can't be expressed to the vendor is refused; a vendor's own limits change, and the vendor knows them best.
"""

import re
import unicodedata

from ttsorch.errors import ValidationError
from ttsorch.models import Capabilities, SpeechRequest

#: Categories of characters that nobody can hear or see alone: separators, combining marks, controls and
#: formats. What this Python's tables don't know yet (Cn) may well be a letter.
_SILENT_CATEGORIES = frozenset({"Zs", "Zl", "Zp", "Mn", "Mc", "Me", "Cc", "Cf"})

#: The largest recording of a voice, in bytes: contract row R15, and section 3 for one that is sent along.
MAX_CLIP_BYTES = 10 * 1024 * 1024
#: The longest name of a voice, in UTF-16 code units (contract row R14).
MAX_VOICE_NAME = 100

_IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_SHOWN_LANGUAGES = 20
#: Ours; no name or tag of a language is nearly as long.
_MAX_LANGUAGE = 100
#: "Whatever the provider takes it for"; always allowed.
_ANY_LANGUAGE = "Auto"


def count_characters(text: str) -> int:
    """The length of ``text`` in UTF-16 code units, as a browser's ``length`` counts it (contract C9)."""
    return len(text) + sum(1 for character in text if ord(character) > 0xFFFF)


def is_blank(text: str) -> bool:
    """Whether ``text`` holds nothing that could be spoken: only spaces, controls, zero-width and
    combining characters."""
    return all(unicodedata.category(character) in _SILENT_CATEGORIES for character in text)


def check(request: SpeechRequest, provider_name: str, capabilities: Capabilities) -> None:
    """Refuse what this provider can't be asked for.

    Raises:
        ValidationError: with the contract's sentence (section 3), a stable code and the HTTP status.
    """
    check_text(request.text, capabilities.max_text_chars)
    _check_voice(request, provider_name)
    check_language(request.language, capabilities.languages)


def check_text(text: str, limit: int) -> None:
    """Refuse a text that is too long (``limit`` counts UTF-16 code units), that no database can keep, or
    that holds nothing to speak.

    Raises:
        ValidationError: with the contract's sentence (section 3).
    """
    # Counted first: a text of 100 MB must not be walked through character by character.
    if len(text) > limit or count_characters(text) > limit:
        raise ValidationError(
            f"Text cannot exceed {limit} characters",
            code="text_too_long",
            field="text",
            limit=limit,
        )
    check_encoding(text)
    if is_blank(text):
        raise ValidationError("Please enter text to speak", code="text_required", field="text")


def check_owner(owner: str) -> None:
    """Refuse an owner that is empty, or that no database can keep.

    Raises:
        ValidationError: code ``owner_required`` or ``text_encoding``.
    """
    if not owner:
        raise ValidationError("An owner is required.", code="owner_required", field="owner")
    check_encoding(owner)


def check_voice_name(name: str) -> None:
    """Refuse a name that is blank or too long, or that no database can keep.

    Raises:
        ValidationError: code ``voice_name_required``, ``voice_name_too_long`` or ``text_encoding``.
    """
    if len(name) > MAX_VOICE_NAME or count_characters(name) > MAX_VOICE_NAME:
        raise ValidationError(
            f"Name cannot exceed {MAX_VOICE_NAME} characters",
            code="voice_name_too_long",
            field="name",
            limit=MAX_VOICE_NAME,
        )
    check_encoding(name)
    if is_blank(name):
        raise ValidationError(
            "Please enter a name for the voice", code="voice_name_required", field="name"
        )


def check_encoding(text: str) -> None:
    """Refuse NUL, which PostgreSQL can't store, and lone surrogates, which UTF-8 can't express.

    Raises:
        ValidationError: code ``text_encoding``.
    """
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        raise ValidationError(
            "Text contains characters that cannot be spoken.", code="text_encoding", field="text"
        )


def check_idempotency_key(key: str) -> None:
    """Refuse a key that can't go into every header and database as it is.

    Raises:
        ValidationError: code ``idempotency_key_invalid``.
    """
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise ValidationError(
            "Idempotency-Key must be 1 to 128 characters of A-Z, a-z, 0-9, '.', '_', '~' or '-'.",
            code="idempotency_key_invalid",
            field="Idempotency-Key",
        )


def canonical_language(language: str, languages: tuple[str, ...]) -> str:
    """``language`` as it is spelled in ``languages``: a history that holds "english" beside "English"
    can't be compared with what is offered. One that isn't listed stays as it is."""
    spellings = {known.casefold(): known for known in (_ANY_LANGUAGE, *languages)}
    return spellings.get(language.casefold(), language)


def check_language(language: str, languages: tuple[str, ...]) -> None:
    """Refuse a language that isn't among ``languages``, unless there are none to choose from and it could
    be the name of one.

    Raises:
        ValidationError: code ``language_unsupported``; names the first of those that are.
    """
    if len(language) > _MAX_LANGUAGE:
        raise ValidationError(
            "This language is not supported.", code="language_unsupported", field="language"
        )
    if not languages or language.casefold() in {
        known.casefold() for known in (_ANY_LANGUAGE, *languages)
    }:
        return
    shown = ", ".join(languages[:_SHOWN_LANGUAGES]) + (
        ", …" if len(languages) > _SHOWN_LANGUAGES else ""
    )
    raise ValidationError(
        f"This language is not supported. Supported: {shown}.",
        code="language_unsupported",
        field="language",
    )


def _check_voice(request: SpeechRequest, provider_name: str) -> None:
    owner = request.voice.tts_provider
    if owner != provider_name:
        raise ValidationError(
            f"Voice belongs to provider '{owner}'. Switch provider mode or create a {provider_name} voice.",
            code="voice_provider_mismatch",
            field="voice_id",
            http_status=409,
        )
