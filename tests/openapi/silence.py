"""A hook of schemathesis, named in its settings: what the document can't say about a text.

A pattern can't list Unicode's combining marks and zero-width characters, of which alone no text is made. The
few texts that the document allows and the contract doesn't (C6) are left out of what is sent.
"""

import schemathesis

from ttsorch.capabilities import is_blank


@schemathesis.hook
def filter_body(context: schemathesis.HookContext, body: object) -> bool:
    """Whether the body may be sent."""
    texts = [body] if isinstance(body, str) else body.values() if isinstance(body, dict) else []
    return not any(isinstance(text, str) and _is_silent(text) for text in texts)


def _is_silent(text: str) -> bool:
    return is_blank(text) and any(character > "\N{SOFT HYPHEN}" for character in text)
