"""How a plain thread tells a task on an event loop that its answer is there, without waiting for it."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

#: Runs a callback soon on one event loop; callable from any thread. Raises RuntimeError once that loop
#: has ended. Equal for the tasks of one loop.
Schedule: TypeAlias = Callable[[Callable[[], object]], object]


def running_loop() -> Schedule:
    """The way back to the event loop that this is called on: asyncio's, else trio's."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        # Only somebody who runs trio has it installed.
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon
