"""One live line on standard error: what the job is at, for how long, and how far if anybody knows.

Imported only when there is a terminal to draw on: rich is slow to import.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import (
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress_bar import ProgressBar

from ttsorch.cli.saying import Watch
from ttsorch.cli.wording import phase_in_words
from ttsorch.models import Job


class _Bar(ProgressColumn):
    """A bar for a job whose progress is known; rich's own would move for any job."""

    def render(self, task: Task) -> RenderableType:
        if task.completed <= 0:
            return ""
        return ProgressBar(total=1.0, completed=task.completed, width=30)


@contextmanager
def live_line() -> Iterator[Watch]:
    """Draws on the terminal what it is told of; gone without a trace on leaving."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        _Bar(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as lines:
        line = lines.add_task("Starting", total=None)

        def show(job: Job) -> None:
            words = phase_in_words(job.task)
            done = job.task.progress or 0.0
            lines.update(line, description=words, completed=done, refresh=True)

        yield show
