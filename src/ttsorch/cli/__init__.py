"""The ``ttsorch`` command. Configured like the server, by the environment (``ttsorch.config``).

=====  ===============================================================================================
exit   meaning
=====  ===============================================================================================
0      done
1      a job failed, or could not be carried through
2      it can't be done as it was asked for: usage, validation, configuration
130    stopped by SIGINT (Ctrl-C); a job under way is cancelled, durably, before
143    stopped by SIGTERM; likewise
=====  ===============================================================================================

A second Ctrl-C doesn't wait for the cancelling.
"""

import io
import logging
import sys
from importlib import import_module
from types import TracebackType

__all__ = ["main"]

_EXTRA = ("rich", "typer")
_NOT_INSTALLED = "The ttsorch command needs an extra: pip install 'ttsorch[cli]'\n"


def main() -> None:
    """Run the command that the process was started with, and exit."""
    sys.excepthook = _in_one_line
    # What the library logs is for operators of servers; here everything worth saying is said.
    logging.getLogger("ttsorch").addHandler(logging.NullHandler())
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As standard error does it: a letter that the terminal lacks is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        for name in _EXTRA:
            import_module(name)
        from typer.main import get_command

        from ttsorch.cli.commands import app
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.stderr.write(_NOT_INSTALLED)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    # Calling the app itself would put typer's own excepthook in place of ours.
    get_command(app)()


def _in_one_line(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    sys.stderr.write(f"ttsorch: unexpected error: {kind.__name__}\n")
