"""What a report may show of an answer: no token, no signature, and not too much of it."""

import json
import re
from collections.abc import Iterable

_LONGEST = 200
#: The query of any URL may be a signature; that of ``redirect_url`` (R10) is what has to be seen.
_QUERY = re.compile(r"(?P<url>(?:https?:/)?/[^\s\"'?<>]*)\?[^\s\"'<>]*")
_PAGE = "/generate"


class Redaction:
    """Shows values without the ``secrets``."""

    def __init__(self, secrets: Iterable[str | None]) -> None:
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def value(self, value: object) -> str:
        """A JSON value as JSON."""
        return self.text(json.dumps(value, ensure_ascii=False, default=repr))

    def text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        text = _QUERY.sub(_without_query, text)
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _without_query(found: re.Match[str]) -> str:
    url = found["url"]
    return found[0] if url == _PAGE else f"{url}?…"
