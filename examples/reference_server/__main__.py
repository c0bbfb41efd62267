"""``python -m examples.reference_server``: exit status 0 after a clean stop, 1 when the server can't start,
2 when a setting is wrong.

``--offline modal`` or ``--offline qwen``: with a vendor of its own, that needs no account."""

import argparse
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from examples.reference_server.offline import VENDORS, serve_offline
from examples.reference_server.serving import CannotStart, serve
from ttsorch.config import Config
from ttsorch.errors import ConfigurationError, TtsorchError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.reference_server")
    parser.add_argument("--offline", choices=VENDORS, help="serve against a fake of this vendor")
    vendor = parser.parse_args().offline
    try:
        anyio.run(_chosen(vendor))
    except ConfigurationError as error:
        return _complain(error.message, 2)
    except CannotStart as error:
        return _complain(str(error), 1)
    except TtsorchError as error:
        return _complain(error.message, 1)
    return 0


def _chosen(vendor: str | None) -> Callable[[], Awaitable[None]]:
    if vendor is None:
        return partial(serve, Config.from_env(os.environ))
    return partial(serve_offline, vendor, os.environ)


def _complain(sentence: str, status: int) -> int:
    print(f"ttsorch: {sentence}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
