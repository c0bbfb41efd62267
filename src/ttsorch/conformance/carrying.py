"""One case, step by step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit, urlunsplit

import anyio

from ttsorch.conformance.client import Answer, Client, NoAnswer
from ttsorch.conformance.matching import ABSENT, at_path
from ttsorch.conformance.payloads import Clip, Payload, a_tone, described, payload
from ttsorch.conformance.polling import Pace, poll_until
from ttsorch.conformance.probing import Tokens
from ttsorch.conformance.redaction import Redaction
from ttsorch.conformance.report import Difference
from ttsorch.conformance.schema import Case, Otherwise, Step, Who
from ttsorch.conformance.templates import Unknown, filled_path, filled_text, names_in
from ttsorch.conformance.verdicts import Excerpt, Finding, is_otherwise, judge

#: The value that says what is said in a ``clip``.
TRANSCRIPT = "clip.transcript"
#: Nobody's token. It may be sent anywhere.
STRANGER = "ttsorch-contract-test-nobodys-token"
_READING = frozenset({"GET", "OPTIONS"})
#: Where the value of a clip comes from, and how long it has to be, in seconds, to be worth cloning.
_SPOKEN, _SPOKEN_TYPE, _SPOKEN_TEXT = "speech.audio", "speech.type", "speech.text"
_SPOKEN_SECONDS = "speech.seconds"
_SHORTEST_CLIP = 3.0


@dataclass
class Carried:
    """What came of a case so far. ``ended`` is an answer that ends it without a difference; ``silent``
    says that the server gave no answer."""

    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ended: Otherwise | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Carrier:
    """Sends the steps of cases, and keeps what they save in ``values``."""

    client: Client
    base: str
    tokens: Tokens
    pace: Pace
    redaction: Redaction
    values: dict[str, object]
    clip: Clip | None = None

    async def carry(self, case: Case, carried: Carried) -> None:
        """Every step, whatever the one before brought; up to the first that can't be built.

        Raises:
            templates.Unknown: a step needs a value that isn't there. If it is one that another case should
                have got, nothing was sent.
        """
        for name in sorted(taken_from_others(case) - self.values.keys() - {TRANSCRIPT}):
            raise Unknown(name)
        for step in case.steps:
            try:
                await self._take(step, carried)
            except NoAnswer as error:
                carried.silent = True
                carried.differences.append(
                    Difference(self._name(step), "answer", "one", self.redaction.text(str(error)))
                )
            if carried.ended or carried.silent:
                return

    async def _take(self, step: Step, carried: Carried) -> None:
        recording = self._recording()
        self.values[TRANSCRIPT] = recording.transcript
        url, sent = self._url(step), payload(step.body, self.values, recording)
        headers = self._headers(step, sent)

        async def ask() -> Answer:
            # What a torn-down request has made could not be deleted.
            with anyio.CancelScope(shield=step.method not in _READING):
                answer = await self.client.ask(step.method, url, headers, sent.content)
            return answer  # noqa: RET504  # by its type, a scope may swallow what is raised

        def verdict(answer: Answer) -> Sequence[Finding]:
            return judge(answer, step.expect, self.values, method=step.method)

        if step.poll is None:
            answer = await ask()
            carried.ended = self._ending(step, answer)
            findings = [] if carried.ended else verdict(answer)
        else:
            polled = await poll_until(step.poll, self.pace, self.values, ask=ask, judge=verdict)
            answer, findings = polled.answer, polled.findings
        self._note(step, findings, carried)
        # What a wrong answer has made is used, and deleted, like any other.
        if answer.status in step.expect.statuses or 200 <= answer.status < 300:
            self._save(step, answer)

    def _ending(self, step: Step, answer: Answer) -> Otherwise | None:
        return next(
            (other for other in step.unless if is_otherwise(answer, other, self.values)), None
        )

    def _url(self, step: Step) -> str:
        if step.path is not None:
            return self.base + filled_path(step.path, self.values)
        # It should be absolute; where the contract doesn't ask for that, it is meant as a browser takes it.
        url = urljoin(f"{self.base}/", filled_text(step.url or "", self.values))
        if step.alter == "drop_query":
            return urlunsplit(urlsplit(url)._replace(query="", fragment=""))
        if step.alter == "change_end":
            # Not the last character: some of its bits may mean nothing.
            return f"{url[:-5]}{'A' if url[-5] != 'A' else 'B'}{url[-4:]}"
        if step.query_of is not None:
            query = urlsplit(filled_text(step.query_of, self.values)).query
            return urlunsplit(urlsplit(url)._replace(query=query))
        return url

    def _headers(self, step: Step, sent: Payload) -> Mapping[str, str]:
        headers = {name: filled_text(value, self.values) for name, value in step.headers.items()}
        if sent.content_type is not None:
            headers.setdefault("content-type", sent.content_type)
        token = {
            Who.OWNER: self.tokens.owner,
            Who.OTHER: self.tokens.other,
            Who.STRANGER: STRANGER,
            Who.NOBODY: None,
        }[step.who]
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return headers

    def _recording(self) -> Clip:
        """What to clone from: a recording that was given, what the server has just spoken, or a tone."""
        if self.clip is not None:
            return self.clip
        spoken, kind = self.values.get(_SPOKEN), self.values.get(_SPOKEN_TYPE)
        seconds = self.values.get(_SPOKEN_SECONDS)
        long_enough = isinstance(seconds, int | float) and seconds >= _SHORTEST_CLIP
        if isinstance(spoken, bytes) and isinstance(kind, str) and long_enough:
            return Clip(spoken, kind, str(self.values.get(_SPOKEN_TEXT)))
        return a_tone()

    def _note(self, step: Step, findings: Sequence[Finding], carried: Carried) -> None:
        for finding in findings:
            shown = self._shown(finding.got)
            expected = self.redaction.text(finding.expected)
            if finding.note:
                note = f"{self._name(step)}: {finding.about}: ours says {expected}, this {shown}"
                carried.notes.append(note)
            else:
                carried.differences.append(
                    Difference(self._name(step), finding.about, expected, shown)
                )

    def _shown(self, got: object) -> str:
        if got is ABSENT:
            return "nothing"
        return self.redaction.text(got) if isinstance(got, Excerpt) else self.redaction.value(got)

    def _name(self, step: Step) -> str:
        # As it is in the data: what was filled in may be a secret, and says less.
        where = step.path or f"the link {step.url}"
        sent = f" {described(step.body)}" if step.body else ""
        return f"{step.method} {where}{sent}{f' ({step.say})' if step.say else ''}"

    def _save(self, step: Step, answer: Answer) -> None:
        for name, source in step.save.items():
            value = _saved(answer, source)
            if value is not None:
                self.values[name] = value


def taken_from_others(case: Case) -> frozenset[str]:
    """The values that a case asks for and doesn't save itself."""
    steps = "".join(step.model_dump_json(by_alias=True, exclude_unset=True) for step in case.steps)
    saved = {name for step in case.steps for name in step.save}
    return frozenset(names_in(steps) - saved)


def _saved(answer: Answer, source: str) -> object:
    """None if there is no such thing; JSON's null isn't worth saving either."""
    kind, _, name = source.partition(":")
    if source == "answer":
        return answer
    if source == "bytes":
        return answer.content
    if kind == "header":
        value = answer.headers.get(name)
        return answer.resolved(value) if name == "location" and value else value
    try:
        found = at_path(answer.json(), source)
    except ValueError:
        return None
    return None if found is ABSENT else found
