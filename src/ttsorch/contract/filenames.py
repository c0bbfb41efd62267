"""A readable name for a download, made from what is said in it (RFC 6266, RFC 8187)."""

import unicodedata
from urllib.parse import quote

_MAX_CHARACTERS = 60
#: What a file system or a shell could read as something else than a name.
_RESERVED = frozenset("<>:\"/\\|?*%'`$&;")
#: attr-char of RFC 8187, beside letters and digits.
_ATTRIBUTE_CHARACTERS = "!#$&+-.^_`|~"


def download_name(text: str, extension: str) -> str:
    """``text``, cut at a word, without anything that isn't a plain part of a name."""
    plain = "".join(_plain(character) for character in text[: 4 * _MAX_CHARACTERS])
    stem = " ".join(plain.split())
    if len(stem) > _MAX_CHARACTERS:
        stem = stem[: _MAX_CHARACTERS + 1].rsplit(" ", 1)[0][:_MAX_CHARACTERS]
    return f"{stem.strip('. ') or 'speech'}.{extension}"


def content_disposition(name: str, *, download: bool) -> str:
    """The header: the name in ASCII for old clients, and as it is for the others."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    fallback = " ".join("".join(_plain(character) for character in ascii_name).split())
    if fallback.startswith(".") or not fallback:
        fallback = f"speech{fallback}"
    kind = "attachment" if download else "inline"
    header = f'{kind}; filename="{fallback}"'
    if fallback == name:
        return header
    return f"{header}; filename*=UTF-8''{quote(name, safe=_ATTRIBUTE_CHARACTERS)}"


def _plain(character: str) -> str:
    """Controls, line breaks and what turns the writing direction become spaces."""
    if character in _RESERVED or unicodedata.category(character)[0] in "CZ":
        return " "
    return character
