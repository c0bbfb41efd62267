"""A hook of schemathesis, named in its settings: texts that the document allows and the contract doesn't.

JSON Schema has no word for combining marks and zero-width characters, which alone count as missing (C6), and
counts code points where the contract counts UTF-16 code units (C9). Texts where that makes a difference are
not sent.
"""

import schemathesis

from ttsorch.capabilities import count_characters, is_blank

#: The shortest limit of a text that the document names (R14).
_SHORTEST_LIMIT = 100


@schemathesis.hook
def filter_body(context: schemathesis.HookContext, body: object) -> bool:
    """Whether the body may be sent."""
    texts = body.values() if isinstance(body, dict) else ()
    return not any(isinstance(text, str) and _is_unsayable(text) for text in texts)


def _is_unsayable(text: str) -> bool:
    beyond_latin = any(character > "\N{LATIN SMALL LETTER Y WITH DIAERESIS}" for character in text)
    long_in_utf_16 = count_characters(text) > max(len(text), _SHORTEST_LIMIT)
    return long_in_utf_16 or (beyond_latin and is_blank(text))
