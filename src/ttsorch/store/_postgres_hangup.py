"""Noticing that the server has hung up, and hanging up on it."""

import os
import select
import socket
from typing import Any

from psycopg import AsyncConnection


def was_hung_up(connection: AsyncConnection[Any]) -> bool:
    """Whether there is something to read: at rest, that is a server that says good-bye, or is gone."""
    if connection.closed:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([connection.fileno()], [], [], 0)[0])
    at_rest = select.poll()  # select() itself takes no file descriptor above 1023
    at_rest.register(connection.fileno(), select.POLLIN)
    return bool(at_rest.poll(0))


def hang_up(connection: AsyncConnection[Any]) -> None:
    """End the wait for an answer. Unlike a cancellation, this asks nothing of the network."""
    if not connection.closed:
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)
