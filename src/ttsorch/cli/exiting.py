"""How a command ends: what its work raises becomes one sentence, and an exit code."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ttsorch.errors import ValidationError
    from ttsorch.models import ErrorInfo, JsonValue


@contextmanager
def exiting(
    as_json: "Callable[[ErrorInfo], Mapping[str, JsonValue]] | None",
) -> "Iterator[None]":
    """Turn what a command's work raises into one sentence, and into the exit code that stands for it."""
    from ttsorch.cli.reports import complain, print_json, tell
    from ttsorch.cli.stopping import Stopped
    from ttsorch.errors import TaskCancelled, TtsorchError, ValidationError
    from ttsorch.models import ErrorInfo

    try:
        yield
    except Stopped as stop:
        tell("Stopped.")
        if as_json:
            print_json(as_json(ErrorInfo.of(TaskCancelled())))
        raise typer.Exit(stop.exit_code) from stop
    except TtsorchError as error:
        complain(error.message)
        if as_json:
            print_json(as_json(ErrorInfo.of(error)))
        raise typer.Exit(2 if isinstance(error, ValidationError) else 1) from error


def error_only(error: "ErrorInfo") -> "Mapping[str, JsonValue]":
    from ttsorch.cli.reports import error_record

    return {"error": error_record(error)}


def conflict(message: str) -> "ValidationError":
    """A wrong usage that the options' own types can't tell."""
    from ttsorch.errors import ValidationError

    return ValidationError(message, code="usage")
