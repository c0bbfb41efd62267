"""What a WSGI environment (PEP 3333) says about a request."""

from collections.abc import Mapping
from typing import Any

_PREFIX = "HTTP_"
#: The two headers that CGI has names of its own for.
_UNPREFIXED = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}


def headers_of(environ: Mapping[str, Any]) -> dict[str, str]:
    """Lower-case names; repeated headers were joined by the server."""
    headers = {
        name[len(_PREFIX) :].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith(_PREFIX)
    }
    # Empty is what some servers give for a header that wasn't sent.
    for variable, name in _UNPREFIXED.items():
        if value := environ.get(variable):
            headers[name] = value
    return headers
