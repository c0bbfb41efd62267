"""``python -m examples.reference_server``: exit status 0 after a clean stop, 1 when the server can't start,
2 when a setting is wrong."""

import os
import sys

import anyio

from examples.reference_server.serving import CannotStart, serve
from ttsorch.config import Config
from ttsorch.errors import ConfigurationError, TtsorchError


def main() -> int:
    try:
        anyio.run(serve, Config.from_env(os.environ))
    except ConfigurationError as error:
        return _complain(error.message, 2)
    except CannotStart as error:
        return _complain(str(error), 1)
    except TtsorchError as error:
        return _complain(error.message, 1)
    return 0


def _complain(sentence: str, status: int) -> int:
    print(f"ttsorch: {sentence}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
