"""Where the commands' settings come from."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ttsorch.config import Config

# A command binds no address. Some shells export HOST, and then it isn't meant for us.
_OF_SERVERS_ONLY = frozenset({"HOST", "PORT", "TTSORCH_TOKENS"})


def read_config(provider: str | None = None) -> "Config":
    """The environment's, with this provider if one is given.

    Raises:
        ConfigurationError: a setting is missing or malformed; it is named.
    """
    from ttsorch.config import Config

    environ = {name: os.environ[name] for name in os.environ.keys() - _OF_SERVERS_ONLY}
    if provider is not None:
        environ["TTS_PROVIDER_MODE"] = provider
    return Config.from_env(environ)
