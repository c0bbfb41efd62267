"""The fields of the forms that make a voice (R14 to R17), checked one by one with v1's own sentences."""

from ttsorch.capabilities import MAX_VOICE_NAME, check_encoding, count_characters, is_blank
from ttsorch.errors import ValidationError

#: In UTF-16 code units (R16).
MAX_DESIGN_TEXT = 500


def voice_name(raw: str | None) -> str:
    """1 to 100 UTF-16 code units."""
    name = _trimmed(raw)
    if not name or _is_longer(name, MAX_VOICE_NAME):
        raise _refused("name", f"Name must be 1-{MAX_VOICE_NAME} characters.")
    return _storable(name)


def language(raw: str | None) -> str:
    return _required("language", "Language", raw)


def transcript(raw: str | None) -> str:
    return _required("transcript", "Transcript", raw)


def preview_text(raw: str | None) -> str:
    return _short("text", "Preview text", raw)


def description(raw: str | None) -> str:
    return _short("instruct", "Voice description", raw)


def optional(raw: str | None) -> str | None:
    """What may be left out, or be blank."""
    return _storable(_trimmed(raw)) or None


def _short(field: str, title: str, raw: str | None) -> str:
    words = _required(field, title, raw)
    if _is_longer(words, MAX_DESIGN_TEXT):
        raise _refused(field, f"{title} must be {MAX_DESIGN_TEXT} characters or less.")
    return words


def _required(field: str, title: str, raw: str | None) -> str:
    words = _trimmed(raw)
    if not words:
        raise _refused(field, f"{title} is required.")
    return _storable(words)


def _trimmed(raw: str | None) -> str:
    """Without the white space around it; empty also for what nobody could see or speak (C6)."""
    return "" if raw is None or is_blank(raw) else raw.strip()


def _is_longer(words: str, limit: int) -> bool:
    # Counted by code points first: nothing huge is walked through.
    return len(words) > limit or count_characters(words) > limit


def _storable(words: str) -> str:
    check_encoding(words)
    return words


def _refused(field: str, sentence: str) -> ValidationError:
    return ValidationError(sentence, code=f"{field}_invalid", field=field)
