"""The v1 contract as an OpenAPI 3.1 document.

It is made of the same table that serves the contract (``ROUTES``) and of the models that make its bodies
(``wire.py``); what those can't say, such as when a route refuses and in which words, stands here as data, a
file for each topic. ``docs/openapi.json`` is this document, written down.
"""

from ttsorch.contract.openapi.document import (
    OPERATIONS,
    components,
    document,
    operation,
    standalone,
)

__all__ = ["OPERATIONS", "components", "document", "operation", "standalone"]
