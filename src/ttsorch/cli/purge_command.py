"""``ttsorch purge``: what is old, or all that an owner has, for good."""

import re
from typing import Annotated

import typer

from ttsorch.cli.environment import read_config
from ttsorch.cli.exiting import conflict, error_only, exiting
from ttsorch.cli.options import Json

_AGE = re.compile(r"(\d{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

OlderThan = Annotated[
    str | None,
    typer.Option(metavar="AGE", help="What ended so long ago, of all owners: 90m, 12h, 30d, 8w."),
]
Audio = Annotated[
    bool,
    typer.Option("--audio", help="Histories of that age too, with their audio; needs --yes."),
]
Owner = Annotated[
    str | None,
    typer.Option(help="All that this owner has, of whatever age; needs --yes."),
]
AbandonOwed = Annotated[
    bool,
    typer.Option(
        "--abandon-owed",
        help="With --owner: also what a provider or a listener still has to be told.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Really remove what belongs to users.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")]


def purge(
    older_than: OlderThan = None,
    audio: Audio = False,
    owner: Owner = None,
    abandon_owed: AbandonOwed = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Remove old rows, or all that an owner has, for good.

    Without --audio or --owner no user loses anything. With one of them it is a dry run, unless --yes.
    Exit status 1 if something could not be removed yet: run it again later.
    """
    import anyio

    from ttsorch.cli.purging import Purging
    from ttsorch.cli.reports import print_json, print_line, purge_record, purge_words

    with exiting(error_only if json else None):
        age = _read_age(older_than)
        _check_conflicts(age, owner, audio=audio, abandon_owed=abandon_owed)
        if yes and dry_run:
            raise conflict("--yes and --dry-run contradict each other.")
        dry = dry_run or (not yes and (audio or owner is not None))
        purging = Purging(
            older_than=age, audio=audio, owner=owner, abandon_owed=abandon_owed, dry_run=dry
        )
        report = anyio.run(purging.run, read_config())
        if json:
            print_json(purge_record(report, dry_run=dry))
        else:
            print_line(purge_words(report, dry_run=dry))
            if dry and not dry_run:
                print_line("Nothing was removed: this needs --yes.")
        raise typer.Exit(0 if dry or report.done else 1)


def _check_conflicts(
    age: float | None, owner: str | None, *, audio: bool, abandon_owed: bool
) -> None:
    if (age is None) == (owner is None):
        raise conflict("Say either --older-than or --owner.")
    if owner is not None and audio:
        raise conflict("--owner takes the audio anyway; --audio goes with --older-than.")
    if owner is None and abandon_owed:
        raise conflict("--abandon-owed goes with --owner.")


def _read_age(text: str | None) -> float | None:
    if text is None:
        return None
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise conflict("--older-than must be a number and a unit, as in 90m, 12h, 30d or 8w.")
    return float(found[1]) * _SECONDS[found[2]]
