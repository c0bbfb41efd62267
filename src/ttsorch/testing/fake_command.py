"""A fake vendor on the command line: served until a signal comes; a shell reads how to reach it."""

import shlex
import signal
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import anyio

from ttsorch.errors import ConfigurationError
from ttsorch.testing.speakers import Speaker, engine_speaker, tone_speaker


class _Served(Protocol):
    def environ(self) -> Mapping[str, str]: ...


class _Opening(Protocol):
    def __call__(self, speak: Speaker) -> AbstractAsyncContextManager[_Served]: ...


def serve_until_signalled(opening: _Opening, *, engine: bool) -> int:
    """Print the environment that reaches what ``opening`` opens, and serve it until SIGINT or SIGTERM. The
    exit status.

    Args:
        engine: whether it speaks with the embedded engine, or in tones.
    """
    try:
        anyio.run(_serve, opening, engine_speaker() if engine else tone_speaker)
    except (ConfigurationError, OSError, OverflowError) as error:
        sys.stderr.write(f"Cannot serve: {error}\n")
        return 1
    return 0


async def _serve(opening: _Opening, speak: Speaker) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with opening(speak=speak) as fake:
            for name, value in fake.environ().items():
                sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
            sys.stdout.flush()
            async for _ in signals:
                return
