"""The commands and their options. What takes long to import is imported by the command that needs it, so
that ``--help`` is quick."""

import math
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ttsorch.cli.contract_command import contract_test
from ttsorch.cli.environment import read_config
from ttsorch.cli.exiting import conflict, error_only, exiting
from ttsorch.cli.options import Json
from ttsorch.cli.purge_command import purge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ttsorch.cli.saying import Watch
    from ttsorch.models import ErrorInfo, JsonValue

_LONGEST_INPUT = 16 * 1024 * 1024

app = typer.Typer(
    name="ttsorch",
    help="Durable text-to-speech jobs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Owner = Annotated[str | None, typer.Option(help="Whose: an owner's id.", show_default="local")]
Provider = Annotated[str | None, typer.Option(help="Instead of TTS_PROVIDER_MODE.")]
Text = Annotated[
    str, typer.Argument(metavar="TEXT", help="What to say; - reads it from standard input.")
]
SpeakingVoice = Annotated[
    str | None,
    typer.Option(help="A voice's id, its name, or a part of it.", show_default="English"),
]
Out = Annotated[
    str | None,
    typer.Option(
        help="The file to write; - is standard output.",
        show_default="speech.wav, or the next free name",
    ),
]
Unknown = Annotated[
    bool,
    typer.Option(
        "--unknown",
        help="Only those whose call was never answered, of all owners, oldest first: each may be"
        " paid for.",
    ),
]
Stuck = Annotated[
    bool,
    typer.Option(
        "--stuck",
        help="Only those that no step takes further, or whose row can't be read, of all owners, worst"
        " first: id, owner, phase, how often it was tried, why.",
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"ttsorch {version('ttsorch')}")
        raise typer.Exit


@app.callback()
def ttsorch(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Durable text-to-speech jobs, configured by the environment like the server.

    Tasks are kept in data/ttsorch.db of the current folder, or in TTSORCH_DATABASE_URL.
    """


@app.command()
def say(
    text: Text,
    voice: SpeakingVoice = None,
    language: Annotated[str, typer.Option(help="The language of the text.")] = "Auto",
    provider: Provider = None,
    owner: Owner = None,
    out: Out = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    json: Json = False,
) -> None:
    """Say a text into a file. Ctrl-C cancels the job."""
    import anyio

    from ttsorch.cli.reports import complain, print_json, say_record, tell
    from ttsorch.cli.saying import Saying, Spoken
    from ttsorch.cli.target import choose_target
    from ttsorch.cli.wording import audio_in_words, misnamed
    from ttsorch.config import LOCAL_OWNER

    spoken = Spoken()

    def record(error: "ErrorInfo | None") -> "Mapping[str, JsonValue]":
        return say_record(spoken.job, spoken.out, error)

    with exiting(record if json else None):
        if json and out == "-":
            raise conflict("--json and --out - both want standard output.")
        saying = Saying(
            text=_read_input() if text == "-" else text,
            voice=voice,
            language=language,
            owner=owner or LOCAL_OWNER,
            target=choose_target(out, force=force),
        )
        with _watching() as watch:
            audio = anyio.run(saying.run, read_config(provider), spoken, watch)
        if json:
            print_json(record(None))
        else:
            tell(f"{spoken.out}: {audio_in_words(audio)}")
        if misnamed(out, audio):
            complain(f"note: the audio in {out} is {audio.content_type}")


@app.command()
def voices(
    search: Annotated[str, typer.Option(help="A part of the name or the description.")] = "",
    language: Annotated[str | None, typer.Option(help='A language: "English", "en".')] = None,
    provider: Provider = None,
    owner: Owner = None,
    json: Json = False,
) -> None:
    """List the voices that can be used: id, name, language, source."""
    import anyio

    from ttsorch.cli.choosing import list_voices
    from ttsorch.cli.reports import print_json, print_rows, voice_record, voice_row
    from ttsorch.config import LOCAL_OWNER

    with exiting(error_only if json else None):
        found = anyio.run(
            partial(
                list_voices,
                read_config(provider),
                owner or LOCAL_OWNER,
                search=search,
                language=language,
            )
        )
        if json:
            print_json({"voices": [voice_record(voice) for voice in found]})
        else:
            print_rows(("ID", "Name", "Language", "Source"), [voice_row(voice) for voice in found])


@app.command()
def tasks(
    active: Annotated[bool, typer.Option("--active", help="Only those that go on.")] = False,
    unknown: Unknown = False,
    stuck: Stuck = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    owner: Owner = None,
    json: Json = False,
) -> None:
    """List the newest tasks: id, state, time, voice, text."""
    import anyio

    from ttsorch.cli.listing import newest_tasks, stuck_tasks, unknown_tasks
    from ttsorch.cli.reports import print_json, print_rows, print_stuck, task_record, task_row
    from ttsorch.config import LOCAL_OWNER

    with exiting(error_only if json else None):
        if unknown and (active or owner or stuck):
            raise conflict("--unknown shows all owners' tasks; it can't be narrowed down.")
        if stuck and (active or owner):
            raise conflict("--stuck shows all owners' tasks; it can't be narrowed down.")
        if stuck:
            print_stuck(anyio.run(stuck_tasks, read_config(), limit), as_json=json)
            return
        if unknown:
            found = anyio.run(unknown_tasks, read_config(), limit)
        else:
            found = anyio.run(newest_tasks, read_config(), owner or LOCAL_OWNER, active, limit)
        if json:
            print_json({"tasks": [task_record(job) for job in found]})
        else:
            print_rows(
                ("ID", "State", "Created", "Voice", "Text"), [task_row(job) for job in found]
            )


@app.command()
def sweep(
    watch: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Sweep again and again, so many seconds apart."),
    ] = None,
    provider: Provider = None,
    json: Json = False,
) -> None:
    """Take every due task one step further, whoever owns it."""
    import anyio

    from ttsorch.cli.reports import print_sweep
    from ttsorch.cli.sweeping import sweep as run_sweep

    with exiting(error_only if json else None):
        config, show = read_config(provider), partial(print_sweep, as_json=json)
        if watch is not None and not 0 < watch < math.inf:
            raise conflict("--watch must be a positive number of seconds.")
        report = anyio.run(run_sweep, config, watch, show)
        raise typer.Exit(1 if report.failed else 0)


@app.command()
def migrate(json: Json = False) -> None:
    """Bring the database's schema up to date."""
    import anyio

    from ttsorch.cli.reports import print_json, print_line
    from ttsorch.config import migrate_database

    with exiting(error_only if json else None):
        version = anyio.run(migrate_database, read_config())
        if json:
            print_json({"schema_version": version})
        else:
            print_line(f"The database is at schema version {version}.")


app.command("contract-test")(contract_test)
app.command("purge")(purge)


# --- what the commands share --------------------------------------------------------------------------


@contextmanager
def _watching() -> "Iterator[Watch]":
    if not sys.stderr.isatty():
        yield lambda job: None
        return
    from ttsorch.cli.live_line import live_line

    with live_line() as watch:
        yield watch


def _read_input() -> str:
    data = sys.stdin.buffer.read(_LONGEST_INPUT + 1)
    if len(data) > _LONGEST_INPUT:
        raise conflict("Standard input is too long to be spoken.")
    try:
        # What echo and most editors put at the end is no part of the text.
        return data.decode("utf-8-sig").removesuffix("\n")
    except UnicodeDecodeError:
        raise conflict("Standard input is not UTF-8 text.") from None
