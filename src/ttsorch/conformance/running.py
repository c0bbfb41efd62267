"""A whole run: every case of a plan, and in the end the deletion of what they made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import anyio

from ttsorch.conformance.carrying import Carried, Carrier
from ttsorch.conformance.client import Client, NoAnswer
from ttsorch.conformance.library import shipped_cases, theme_of
from ttsorch.conformance.payloads import Clip
from ttsorch.conformance.planning import Plan, plan
from ttsorch.conformance.polling import Pace
from ttsorch.conformance.probing import Tokens, base_url, first_values
from ttsorch.conformance.redaction import Redaction
from ttsorch.conformance.report import Outcome, Report, Result
from ttsorch.conformance.schema import Case
from ttsorch.conformance.templates import Unknown, filled_path

#: After so many cases in a row without an answer, the server is gone.
_MOST_SILENT = 3
#: In seconds, for everything that is to be deleted; and where somebody waits for the run to stop.
_CLEANUP_SECONDS = 60.0
_CLEANUP_OF_A_STOPPED_RUN_SECONDS = 10.0
#: A deletion that found nothing has nothing left to do.
_GONE = frozenset({200, 204, 404})
#: What makes a voice to speak with, where a server has none.
_VOICE_MAKER, _MADE_VOICE, _VOICE = "clone-voice", "clone.voice_id", "voice.id"

_REASONS: Mapping[str, str] = {
    "tokens": "The server wants no tokens, or none was given.",
    "two_owners": "It takes the tokens of two owners.",
    "voice": "There is no voice to speak with. Name one with --voice.",
    "builtin_voice": "The provider has no built-in voices.",
    "foreign_voice": "The owner has no voice of another provider.",
    "elsewhere": "The link leads to the server itself.",
}

#: Told of each result as soon as it is there.
Watch = Callable[[Result], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run goes; times are in seconds. ``patience`` is for one job, ``deadline`` for one request,
    ``longest_pause`` for the time between two polls. ``voice`` is the id of the voice to speak with, ``clip``
    the recording to clone from."""

    patience: float = 300.0
    deadline: float = 60.0
    longest_pause: float = 2.0
    voice: str | None = None
    clip: Clip | None = None


class Remains:
    """What a run has made at the server and not deleted, or not yet: for who stops it, and gets no report."""

    def __init__(self) -> None:
        self._look: Callable[[], tuple[str, ...]] = tuple

    def paths(self) -> tuple[str, ...]:
        """Newest first; each is to be sent a DELETE."""
        return self._look()

    def look(self, paths: Callable[[], tuple[str, ...]]) -> None:
        """For the run: where to look."""
        self._look = paths


async def run_contract(
    url: str,
    tokens: Tokens | None = None,
    *,
    what: Plan | None = None,
    settings: Settings | None = None,
    watch: Watch = lambda result: None,
    remains: Remains | None = None,
) -> Report:
    """Check the server at ``url`` against the v1 contract. Cancelled, it still deletes what it has made, as
    far as that can be done in ten seconds; ``remains`` has what is left.

    Raises:
        ValidationError: the URL or a token can't be used, or the server doesn't know the token.
        Unreachable: nothing answers there.
    """
    base, tokens, settings = base_url(url), tokens or Tokens(), settings or Settings()
    async with Client(settings.deadline) as client:
        values = await first_values(client, base, tokens, settings.voice)
        carrier = Carrier(
            client=client,
            base=base,
            tokens=tokens,
            pace=Pace(settings.patience, settings.longest_pause),
            redaction=Redaction((tokens.owner, tokens.other)),
            values=values,
            clip=settings.clip,
        )
        run = _Run(what or plan(), carrier, watch)
        if remains is not None:
            remains.look(run.remaining)
        seconds = _CLEANUP_OF_A_STOPPED_RUN_SECONDS
        try:
            await run.all()
            seconds = _CLEANUP_SECONDS
        finally:
            await run.clean_up(seconds)
        return Report(base, tuple(run.results.values()), run.remaining())


class _Run:
    def __init__(self, what: Plan, carrier: Carrier, watch: Watch) -> None:
        self._plan = what
        self._carrier = carrier
        self._watch = watch
        self._cases = {case.id: case for case in shipped_cases()} | {c.id: c for c in what.cases}
        self._savers = {
            name: case.id
            for case in self._cases.values()
            for step in case.steps
            for name in step.save
        }
        self._silent_in_a_row = 0
        self._begun: list[Case] = []
        self._deleted: set[str] = set()
        self.results: dict[str, Result] = {}

    async def all(self) -> None:
        for case in self._plan.cases:
            await self._once(case)

    async def _once(self, case: Case) -> None:
        if case.id in self.results:
            return
        for need in case.needs:
            await self._once(self._cases[need])
        result = await self._result(case)
        self.results[case.id] = result
        self._watch(result)

    async def _result(self, case: Case) -> Result:
        blank = Result(case.id, case.name, theme_of(case), case.proves, Outcome.PASSED)
        if self._silent_in_a_row >= _MOST_SILENT:
            return _ended(blank, Outcome.BLOCKED, "The server stopped answering.")
        if not self._plan.paid and (case.cost.speeches or case.cost.voices):
            return _ended(blank, Outcome.NOT_APPLICABLE, "It may cost something, and was left out.")
        reason = await self._missing_requirement(case)
        if reason is not None:
            return _ended(blank, Outcome.NOT_APPLICABLE, reason)
        self._begun.append(case)
        carried = Carried()
        unknown = None
        try:
            await self._carrier.carry(case, carried)
        except Unknown as error:
            unknown = str(error)
        self._silent_in_a_row = self._silent_in_a_row + 1 if carried.silent else 0
        return self._concluded(case, blank, carried, unknown)

    def _concluded(
        self, case: Case, blank: Result, carried: Carried, unknown: str | None
    ) -> Result:
        result = replace(blank, differences=tuple(carried.differences), notes=tuple(carried.notes))
        if result.differences:
            return replace(result, outcome=Outcome.FAILED)
        if unknown is not None:
            return self._without(result, unknown)
        if carried.ended is not None:
            return _ended(result, Outcome(carried.ended.outcome), carried.ended.because)
        if case.additive and result.notes:
            return _ended(
                result, Outcome.NOT_OFFERED, "The server does without it, or says it otherwise."
            )
        return result

    def _without(self, result: Result, name: str) -> Result:
        """A value that is missing: for the reason that its own case had, if that wasn't a difference."""
        saver = self.results.get(self._savers.get(name, ""))
        if saver is not None and saver.outcome in (Outcome.NOT_APPLICABLE, Outcome.NOT_OFFERED):
            return _ended(result, saver.outcome, saver.reason or "")
        because = f" '{saver.name}' did not get it." if saver is not None else ""
        return _ended(result, Outcome.BLOCKED, f"{name} is not known.{because}")

    async def _missing_requirement(self, case: Case) -> str | None:
        for requirement in case.requires:
            if requirement == "voice":
                await self._find_voice()
            reason = self._reason_against(requirement)
            if reason is not None:
                return reason
        return None

    async def _find_voice(self) -> None:
        """Where no voice is listed, one is made the way a user does."""
        values = self._carrier.values
        if _VOICE in values or _VOICE_MAKER in self.results:
            return
        await self._once(self._cases[_VOICE_MAKER])
        if _MADE_VOICE in values:
            values[_VOICE] = values[_MADE_VOICE]

    def _reason_against(self, requirement: str) -> str | None:
        values, tokens = self._carrier.values, self._carrier.tokens
        kind, _, what = requirement.partition(":")
        provider = values.get("provider.name")
        held = {
            "tokens": tokens.owner is not None,
            "two_owners": tokens.other is not None,
            "voice": _VOICE in values,
            "builtin_voice": "builtin.id" in values,
            "foreign_voice": "foreign.id" in values,
            "provider": provider != what[1:] if what.startswith("!") else provider == what,
            "elsewhere": self._is_elsewhere(values.get(what)),
        }[kind]
        if held:
            return None
        if kind == "provider":
            return f"It is about {what.replace('!', 'others than ')}."
        return _REASONS[kind]

    def _is_elsewhere(self, link: object) -> bool:
        if not isinstance(link, str):
            return False
        here, there = urlsplit(self._carrier.base), urlsplit(link)
        return (here.scheme, here.netloc) != (there.scheme, there.netloc)

    def remaining(self) -> tuple[str, ...]:
        """What the cases have made and nobody has deleted, newest first."""
        templates = (path for case in reversed(self._begun) for path in case.cleanup)
        made = (self._filled(path) for path in templates)
        return tuple(path for path in made if path is not None and path not in self._deleted)

    def _filled(self, path: str) -> str | None:
        """None if it was never made."""
        try:
            return filled_path(path, self._carrier.values)
        except Unknown:
            return None

    async def clean_up(self, seconds: float) -> None:
        """Delete what the cases made, newest first, as long as there is time."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(seconds):
            for path in self.remaining():
                await self._delete(path)

    async def _delete(self, path: str) -> None:
        carrier = self._carrier
        token = carrier.tokens.owner
        headers = {"authorization": f"Bearer {token}"} if token else {}
        try:
            answer = await carrier.client.ask("DELETE", carrier.base + path, headers)
        except NoAnswer:
            return
        if answer.status in _GONE:
            self._deleted.add(path)


def _ended(result: Result, outcome: Outcome, reason: str) -> Result:
    return replace(result, outcome=outcome, reason=reason)
