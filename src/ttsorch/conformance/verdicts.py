"""Whether an answer is what a step expects: status, sentence, headers, JSON and bytes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ttsorch.conformance.client import Answer
from ttsorch.conformance.matching import ABSENT, Mismatch, mismatches, same, shown
from ttsorch.conformance.schema import Bytes, Expectation, Matcher, Otherwise
from ttsorch.conformance.templates import Unknown, filled_text
from ttsorch.errors import Category

_JSON = "application/json"

#: C2: what every failure looks like. What the sentence is, is checked by itself.
_FAILURE = Matcher.model_validate({"keys": {"detail": "sentence"}})
_FAILURE_ADDITIVE = {
    "code": Matcher(type="sentence"),
    "category": Matcher(one_of=tuple(Category)),
    "request_id": Matcher(type="sentence"),
}


class Excerpt(str):
    """A text as it is, and not a JSON value: the beginning of a body, or words of ours."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference before it is written down: ``note`` is one that is not wrong."""

    about: str
    expected: str
    got: object
    note: bool = False


def judge(
    answer: Answer, expected: Expectation, values: Mapping[str, object], *, method: str
) -> Sequence[Finding]:
    """Everything that is different. With another status, nothing else is looked at: it is about something
    else then.

    Raises:
        Unknown: the data names a value that nobody saved.
    """
    if answer.status not in expected.statuses:
        wanted = " or ".join(map(str, expected.statuses))
        return [Finding("status", wanted, Excerpt(f"{answer.status} {_excerpt(answer)}"))]
    found = [*_headers(answer, expected, values)]
    if not expected.any_form:
        found += _form(answer, expected, values, method)
    if expected.content is not None:
        found += _bytes(answer, expected.content, values)
    if expected.same_answer_as is not None:
        found += _same_answer(answer, values.get(expected.same_answer_as))
    return found


def is_otherwise(answer: Answer, other: Otherwise, values: Mapping[str, object]) -> bool:
    """Whether the answer is the one that ends a case without a difference."""
    if other.status is not None and answer.status not in other.statuses:
        return False
    body = _json_or_none(answer)
    if other.detail is not None:
        sentence = body.get("detail") if isinstance(body, Mapping) else None
        if sentence != filled_text(other.detail, values):
            return False
    return other.body is None or not mismatches(body, other.body, values)


def _headers(
    answer: Answer, expected: Expectation, values: Mapping[str, object]
) -> Iterator[Finding]:
    for name, matcher in expected.headers.items():
        value = answer.headers.get(name.lower())
        for found in mismatches(value, matcher, values):
            yield Finding(f"header {name}", found.expected, ABSENT if value is None else value)
    for name, matcher in expected.additive_headers.items():
        value = answer.headers.get(name.lower())
        for found in mismatches(value, matcher, values):
            got = ABSENT if value is None else value
            yield Finding(f"header {name}", found.expected, got, note=value is None)


def _form(
    answer: Answer, expected: Expectation, values: Mapping[str, object], method: str
) -> Iterator[Finding]:
    """JSON where the contract promises it (C1, C2)."""
    failed = answer.status >= 400
    promised = failed or expected.body or (answer.status == 200 and not expected.content)
    if method == "HEAD" or not promised:
        return
    if answer.media_type != _JSON:
        yield Finding("header content-type", _JSON, answer.headers.get("content-type"))
    try:
        body = answer.json()
    except ValueError:
        yield Finding("body", "JSON", _excerpt(answer))
        return
    if failed:
        yield from _failure(answer, body, expected, values)
    if expected.body is not None:
        yield from (_as_finding(each) for each in mismatches(body, expected.body, values))


def _failure(
    answer: Answer, body: object, expected: Expectation, values: Mapping[str, object]
) -> Iterator[Finding]:
    wrong = mismatches(body, _FAILURE, values)
    yield from map(_as_finding, wrong)
    if wrong or not isinstance(body, Mapping):
        return
    if expected.detail is not None:
        sentence = filled_text(expected.detail, values)
        if body["detail"] != sentence:
            yield Finding("detail", shown(sentence), body["detail"])
    if expected.wording is not None and body["detail"] != expected.wording:
        yield Finding("detail", shown(expected.wording), body["detail"], note=True)
    for name, matcher in _FAILURE_ADDITIVE.items():
        if name in body:
            yield from (
                Finding(name, each.expected, each.got)
                for each in mismatches(body[name], matcher, values)
            )
    if "request_id" in body and body["request_id"] != answer.headers.get("x-request-id"):
        yield Finding("request_id", "the x-request-id of the answer", body["request_id"])


def _as_finding(found: Mismatch) -> Finding:
    return Finding(found.path or "body", found.expected, found.got, note=found.additive)


def _bytes(answer: Answer, wanted: Bytes, values: Mapping[str, object]) -> Iterator[Finding]:
    if wanted.audio:
        yield from _audio(answer)
    if wanted.same_as is not None:
        whole = _saved_bytes(values, wanted.same_as)
        expected = whole[wanted.start : wanted.end]
        if answer.content != expected:
            yield Finding(
                "bytes",
                f"{len(expected)} of {wanted.same_as} from {wanted.start}",
                Excerpt(f"{len(answer.content)} others"),
            )


def _audio(answer: Answer) -> Iterator[Finding]:
    kinds = _media_types_of(answer.content)
    if not kinds:
        yield Finding("bytes", "audio", _excerpt(answer))
    elif answer.media_type not in kinds:
        yield Finding("header content-type", " or ".join(kinds), answer.headers.get("content-type"))
    length = answer.headers.get("content-length")
    if length != str(len(answer.content)):
        yield Finding("header content-length", str(len(answer.content)), length)


def _media_types_of(content: bytes) -> tuple[str, ...]:
    """The names that a browser knows for what these bytes begin like."""
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave")
    if content[:3] == b"ID3" or (content[:1] == b"\xff" and content[1:2] >= b"\xe0"):
        return ("audio/mpeg", "audio/mp3", "audio/aac")
    if content[:4] == b"OggS":
        return ("audio/ogg", "audio/opus", "application/ogg")
    if content[:4] == b"fLaC":
        return ("audio/flac", "audio/x-flac")
    if content[4:8] == b"ftyp":
        return ("audio/mp4", "audio/x-m4a", "audio/m4a", "audio/aac")
    return ()


def _same_answer(answer: Answer, earlier: object) -> Iterator[Finding]:
    """C7: nothing tells another owner's row from one that doesn't exist."""
    if not isinstance(earlier, Answer):
        raise Unknown("answer")
    if answer.status != earlier.status:
        yield Finding("status", f"{earlier.status}, as for an id of nobody's", answer.status)
    mine, other = _without_id(answer), _without_id(earlier)
    if not same(mine, other):
        yield Finding("body", f"{shown(other)}, as for an id of nobody's", mine)


def _without_id(answer: Answer) -> object:
    body = _json_or_none(answer)
    if isinstance(body, Mapping):
        return {name: value for name, value in body.items() if name != "request_id"}
    return answer.content.decode("utf-8", "replace") if body is None else body


def _json_or_none(answer: Answer) -> object:
    try:
        return answer.json()
    except ValueError:
        return None


def _saved_bytes(values: Mapping[str, object], name: str) -> bytes:
    content = values.get(name)
    if not isinstance(content, bytes):
        raise Unknown(name)
    return content


def _excerpt(answer: Answer) -> Excerpt:
    return Excerpt(answer.content[:300].decode("utf-8", "replace"))
