"""Which provider a name stands for. Looking one up imports that provider and no other.

A third party registers its own under the entry point group ``ttsorch.providers``: a class with a
``from_env(environ)`` classmethod. A built-in name can't be taken over.
"""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from ttsorch.errors import ConfigurationError
from ttsorch.protocols import Provider

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

logger = logging.getLogger("ttsorch")

ENTRY_POINT_GROUP = "ttsorch.providers"

#: A setting that isn't there, or a part of the installation.
_NOT_MEANT = ("setting_missing", "provider_not_loaded", "engine_not_installed")

_BUILTIN = {
    "local": "ttsorch.providers.local:LocalProvider",
    "modal": "ttsorch.providers.modal:ModalProvider",
    "qwen": "ttsorch.providers.qwen:QwenProvider",
}


def provider_names() -> tuple[str, ...]:
    """All names that :func:`load_provider` knows: the built-in ones, then third parties' by name."""
    return tuple(_table())


def known_provider(name: str) -> str:
    """``name`` as the table spells it.

    Raises:
        ConfigurationError: no provider has this name (contract row R2).
    """
    known = name.strip().lower()
    if known not in _table():
        raise ConfigurationError(
            f"Invalid TTS_PROVIDER_MODE: {name}. Expected one of: {', '.join(provider_names())}",
            code="provider_unknown",
            field="TTS_PROVIDER_MODE",
        )
    return known


def load_provider(name: str, environ: Mapping[str, str]) -> Provider:
    """Make the provider called ``name``, configured from ``environ`` (the variables of its own docs).

    Raises:
        ConfigurationError: no provider has this name (contract row R2), it can't be imported, or a
            setting of its own is missing or malformed.
    """
    entry = _table()[known_provider(name)]
    try:
        from_env = cast("Callable[[Mapping[str, str]], Provider]", entry.load().from_env)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"The provider '{entry.name}' can't be loaded.",
            code="provider_not_loaded",
            detail=str(error),
        ) from error
    return from_env(environ)


def configured_providers(environ: Mapping[str, str], *, but: str) -> tuple[Provider, ...]:
    """All built-in providers, except the one called ``but``, whose settings are complete in ``environ``:
    what was begun with one of them can finish after a switch. One whose settings are not is left out, and
    one that has malformed ones is warned of: somebody means it to be there.
    """
    found = []
    for name in (known for known in _BUILTIN if known != but):
        try:
            found.append(load_provider(name, environ))
        except ConfigurationError as error:
            level = logging.DEBUG if error.code in _NOT_MEANT else logging.WARNING
            logger.log(level, "provider %s is left out: %s", name, error.message)
    return tuple(found)


def _table() -> dict[str, "EntryPoint"]:
    # Slow to import, and needed only by who looks a provider up.
    from importlib.metadata import EntryPoint, entry_points

    table = {name: EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in _BUILTIN.items()}
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        table.setdefault(entry.name, entry)
    return table
