"""``ttsorch contract-test``: whether a server, in whatever language, keeps to the v1 contract."""

import math
import mimetypes
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ttsorch.cli.exiting import conflict, error_only, exiting
from ttsorch.cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ttsorch.conformance import Clip, Plan, Remains, Report, Settings, Tokens
    from ttsorch.conformance.running import Watch

Token = Annotated[
    str | None,
    typer.Option(help="A user's bearer token.", envvar="TTSORCH_CONTRACT_TOKEN"),
]
OtherToken = Annotated[
    str | None,
    typer.Option(
        help="Another user's, to see that neither finds what is the other's.",
        envvar="TTSORCH_CONTRACT_OTHER_TOKEN",
    ),
]
Rows = Annotated[
    str, typer.Option(help="Only what proves these rows: R3,C7,A1,4.5", show_default="all")
]
Only = Annotated[
    str,
    typer.Option(help="Only these themes or cases: media,cancel", show_default="all"),
]
Paid = Annotated[
    bool, typer.Option("--paid/--no-paid", help="Whether anything may be spoken or made.")
]
Patience = Annotated[float, typer.Option(metavar="SECONDS", help="How long one speech may take.")]
SpeakingVoice = Annotated[
    str | None, typer.Option(help="The id of a voice to speak with.", show_default="any")
]
ClipFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A recording to clone a voice from.",
        show_default="what the server has just spoken",
    ),
]
ClipText = Annotated[
    str | None, typer.Option(metavar="TEXT", help="What is said in that recording.")
]


def contract_test(
    url: Annotated[str, typer.Argument(metavar="URL", help="The server: https://example.com")],
    token: Token = None,
    other_token: OtherToken = None,
    rows: Rows = "",
    only: Only = "",
    paid: Paid = True,
    patience: Patience = 300.0,
    voice: SpeakingVoice = None,
    clip: ClipFile = None,
    clip_text: ClipText = None,
    json: Json = False,
) -> None:
    """Check a server against the v1 contract. Exit status 1 if something is different.

    Tokens are better given by the environment: a command line can be read by others.
    """
    import anyio

    from ttsorch.cli.reports import print_json
    from ttsorch.conformance import Tokens, plan

    with exiting(error_only if json else None):
        if not 0 < patience < math.inf:
            raise conflict("--patience must be a positive number of seconds.")
        what = plan(rows=_named(rows.upper()), only=_named(only), paid=paid)
        work = partial(
            _run,
            url,
            Tokens(owner=token, other=other_token),
            what,
            _settings(patience, voice, clip, clip_text),
        )
        with _watching(what) as watch:
            report = anyio.run(work, watch)
        if json:
            print_json(report.to_record())
        else:
            from ttsorch.cli.contract_report import print_report

            print_report(report)
        raise typer.Exit(0 if report.passed else 1)


async def _run(
    url: str, tokens: "Tokens", what: "Plan", settings: "Settings", watch: "Watch"
) -> "Report":
    """
    Raises:
        Stopped: by a signal; what the cases had made was deleted first, or else is listed.
    """
    from ttsorch.cli.stopping import Stoppable, Stopped
    from ttsorch.conformance import Remains, run_contract

    remains = Remains()
    with Stoppable(last_words=lambda: _not_deleted(remains)) as signals:
        return await run_contract(
            url, tokens, what=what, settings=settings, watch=watch, remains=remains
        )
    sys.stderr.write(_not_deleted(remains))
    raise Stopped(signals.number)


def _not_deleted(remains: "Remains") -> str:
    from ttsorch.cli.wording import plain

    return "".join(f"ttsorch: not deleted: {plain(path)}\n" for path in remains.paths())


def _named(listed: str) -> list[str]:
    return [each.strip() for each in listed.split(",") if each.strip()]


def _settings(
    patience: float, voice: str | None, clip: str | None, clip_text: str | None
) -> "Settings":
    from ttsorch.conformance import Settings

    if bool(clip) != bool(clip_text):
        raise conflict("--clip and --clip-text go together: what is said in the recording.")
    recording = _read_clip(clip, clip_text) if clip and clip_text else None
    return Settings(patience=patience, voice=voice, clip=recording)


def _read_clip(path: str, transcript: str) -> "Clip":
    from ttsorch.conformance import Clip

    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise conflict(f"The recording can't be read: {error.strerror}.") from None
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return Clip(content, kind, transcript)


@contextmanager
def _watching(what: "Plan") -> "Iterator[Watch]":
    """Say what it may cost, before it does; then count along for who watches."""
    from ttsorch.cli.reports import complain

    complain(what.in_words())
    if not sys.stderr.isatty():
        yield lambda result: None
        return
    from ttsorch.cli.contract_report import counting

    with counting(len(what.cases)) as watch:
        yield watch
