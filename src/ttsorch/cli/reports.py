"""What the commands print: JSON for programs; for people, a table on a terminal and tab-separated lines
into a pipe."""

import json
import sys
from collections.abc import Mapping, Sequence

from ttsorch.cli.wording import local_time, plain, state_in_words
from ttsorch.models import ErrorInfo, Job, JsonValue, PurgeReport, StuckTask, SweepReport, Voice
from ttsorch.states import provider_status


def print_json(record: Mapping[str, JsonValue]) -> None:
    # Escaped, so that no text can be anything but text to a terminal, whatever its encoding.
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def complain(message: str) -> None:
    safe = "\n".join(plain(line) for line in message.splitlines())
    sys.stderr.write(f"ttsorch: {safe}\n")


def tell(line: str) -> None:
    """For people who watch: nothing where standard error isn't a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{plain(line)}\n")


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table that fits the terminal; into a pipe whole rows, without a header."""
    safe = [[plain(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in safe:
            sys.stdout.write("\t".join(row) + "\n")
        sys.stdout.flush()
        return
    # Slow to import.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in columns:
        # An id that was shortened or broken can't be copied.
        table.add_column(column, no_wrap=column == "ID")
    for row in safe:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def print_sweep(report: SweepReport, stuck: Sequence[StuckTask], *, as_json: bool) -> None:
    """``stuck`` is what no step takes further, from this sweep and those before it."""
    if as_json:
        records: JsonValue = [stuck_record(task) for task in stuck]
        print_json({"stepped": report.stepped, "failed": report.failed, "stuck": records})
        return
    print_line(f"{report.stepped} due, {report.failed} could not be taken further")
    if stuck:
        print_line(f"{len(stuck)} are stuck: ttsorch tasks --stuck")


def print_stuck(stuck: Sequence[StuckTask], *, as_json: bool) -> None:
    if as_json:
        print_json({"tasks": [stuck_record(task) for task in stuck]})
    else:
        columns = ("ID", "Owner", "Phase", "Tries", "Why")
        print_rows(columns, [stuck_row(task) for task in stuck])


def purge_words(report: PurgeReport, *, dry_run: bool) -> str:
    """One sentence; of a dry run what would be, at least, if it didn't count to the end."""
    counts = {
        "tasks": report.tasks,
        "generations": report.generations,
        "voices": report.voices,
        "effects": report.effects,
        "files": report.blobs,
    }
    listed = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count) or "nothing"
    least = " at least" if dry_run and report.more else ""
    sentence = f"{'would remove' if dry_run else 'removed'}{least} {listed}"
    if report.tasks_left or report.blobs_left:
        waits = f"{report.tasks_left:,} tasks, {report.blobs_left:,} files"
        when = "would have to wait" if dry_run else "have to wait: run it again"
        sentence += f"; {waits} {when}"
    return sentence


# --- records ------------------------------------------------------------------------------------------


def say_record(
    job: Job | None, out: str | None, error: ErrorInfo | None
) -> Mapping[str, JsonValue]:
    """What ``say --json`` prints; every key is always there. A job's own error goes before ``error``."""
    task = job.task if job else None
    audio = task.audio if task else None
    return {
        "task_id": task.id if task else None,
        "generation_id": task.generation_id if task else None,
        "status": task.status.value if task else None,
        "out": out,
        "duration_seconds": audio.duration if audio else None,
        "bytes": audio.size if audio else None,
        "content_type": audio.content_type if audio else None,
        "error": error_record(task.error if task and task.error else error),
    }


def error_record(error: ErrorInfo | None) -> JsonValue:
    if error is None:
        return None
    return {"category": error.category.value, "code": error.code, "message": error.message}


def voice_record(voice: Voice) -> Mapping[str, JsonValue]:
    return {
        "id": voice.id,
        "name": voice.name,
        "language": voice.language,
        "source": voice.source.value,
        "description": voice.description,
        "tts_provider": voice.tts_provider,
        "provider_voice_id": voice.provider_voice_id,
    }


def task_record(job: Job) -> Mapping[str, JsonValue]:
    task, generation = job.task, job.generation
    return {
        "id": task.id,
        "generation_id": task.generation_id,
        "type": task.kind.value,
        "status": task.status.value,
        "provider": task.provider,
        "provider_status": provider_status(task),
        "voice_name": task.voice.name,
        "text": generation.text if generation else None,
        "language": generation.language if generation else None,
        "created_at": task.created_at.isoformat(),
        "completed_at": task.completed_at.isoformat() if task.completed_at else None,
        "duration_seconds": task.audio.duration if task.audio else None,
        "error": error_record(task.error),
    }


def stuck_record(task: StuckTask) -> Mapping[str, JsonValue]:
    due = task.next_action_at
    return {
        "id": task.id,
        "owner": task.owner,
        "provider": task.provider,
        "type": task.kind,
        "phase": task.phase,
        "failures": task.failures,
        "reason": task.reason,
        "next_action_at": due.isoformat() if due else None,
    }


def purge_record(report: PurgeReport, *, dry_run: bool) -> Mapping[str, JsonValue]:
    return {
        "dry_run": dry_run,
        "tasks": report.tasks,
        "generations": report.generations,
        "voices": report.voices,
        "effects": report.effects,
        "blobs": report.blobs,
        "more": report.more,
        "tasks_left": report.tasks_left,
        "blobs_left": report.blobs_left,
        "done": report.done,
    }


def voice_row(voice: Voice) -> Sequence[str]:
    return voice.id, voice.name, voice.language, voice.source.value


def task_row(job: Job) -> Sequence[str]:
    task = job.task
    text = job.generation.text if job.generation else ""
    return (
        task.id,
        state_in_words(task),
        local_time(task.created_at),
        task.voice.name,
        f"{text:.60}",
    )


def stuck_row(task: StuckTask) -> Sequence[str]:
    return task.id, task.owner, task.phase, str(task.failures), task.reason
