"""What PostgreSQL, its driver and its pool raise, as our own errors: the one place that knows.

Nothing of a message goes along. The server's may quote the row it refused, the driver's a part of a URL
whose password was not percent-encoded; both stay on the chained cause, for a debugger.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg import errors

from ttsorch.errors import StorageUnavailable

#: The database took back everything that the statement did, so it can be run again.
CERTAINLY_UNDONE = (errors.DeadlockDetected, errors.SerializationFailure)

#: Constraint → what it means that it was violated.
_CONSTRAINTS: Mapping[str, str] = {
    "tasks_pkey": "the id is taken",
    "tasks_idempotency": "the idempotency key is taken",
    "generations_pkey": "the id is taken",
}

#: What libpq writes where a connection has no SQLSTATE to tell → what is safe to repeat.
_REASONS: Mapping[str, str] = {
    "refused": "connection refused",
    "No such file or directory": "no server listens on the socket",
    "timeout": "no connection in time",
    "authentication failed": "the user or the password was refused",
    "no password supplied": "the server asks for a password",
    "no pg_hba.conf entry": "the server takes no connection from here",
    "failed to resolve host": "the host has no address",
    "could not translate host": "the host has no address",
    "does not exist": "there is no such database or role",
    "too many": "the server has no connection left",
    "connection slots": "the server has no connection left",
    "starting up": "the server is starting up",
    "shutting down": "the server is shutting down",
    "recovery": "the server is recovering",
    "certificate": "the server's certificate was refused",
    "SSL": "no TLS connection could be made",
    "unsupported startup parameter": "a pooler refused a setting; pooler=true leaves it out",
}


def closed() -> StorageUnavailable:
    return StorageUnavailable("The task store is closed.", code="store_closed")


@contextmanager
def translated() -> Iterator[None]:
    """
    Raises:
        StorageUnavailable: instead of what psycopg or the operating system raise inside.
    """
    try:
        yield
    except psycopg.Error as error:
        raise StorageUnavailable(detail=_reason(error)) from error
    except UnicodeEncodeError as error:
        raise StorageUnavailable(detail="a text that is not Unicode") from error
    except OSError as error:
        raise StorageUnavailable(detail=f"the connection failed: {error.strerror}") from error


def _reason(error: psycopg.Error) -> str:
    constraint = error.diag.constraint_name or ""
    if constraint in _CONSTRAINTS:
        return _CONSTRAINTS[constraint]
    if error.sqlstate is not None:
        return f"{type(error).__name__} ({error.sqlstate})"
    text = str(error)
    return next((safe for part, safe in _REASONS.items() if part in text), type(error).__name__)
