"""What a vendor's answer means, as rows of a table: each provider has its own table, and all read it here.

A vendor's own code says more than the HTTP status around it, so a table is asked for the code first. What
no row knows still lands in a defined place: the status decides.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ttsorch._http import Reply, SubmitOutcome, classify_submit_status, retry_hint
from ttsorch.errors import (
    ProviderError,
    ProviderInvalid,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
# What vendors echo of keys: "sk-abc***", "Bearer ...", long runs of base64.
_SECRET = re.compile(
    r"\b(?:sk|wk|ws|ak|as)-[\w.*-]+|\bbearer\s+\S+|[A-Za-z0-9+/_=-]{40,}", re.IGNORECASE
)
_LONGEST_MESSAGE = 200
_CUT = "[...]"
# So many characters in a row tell what they are from; fewer are chance.
_TELLING = 12


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row: what is raised for a signal.

    ``message`` is shown to users; None takes the error's own sentence, or the vendor's, cleaned, when
    ``quotes`` is set. ``wait`` is in seconds, for a vendor that doesn't say how long.
    """

    error: type[ProviderError]
    code: str | None = None
    message: str | None = None
    quotes: bool = False
    retryable: bool | None = None
    ambiguous: bool = False
    started: bool = False
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a vendor said about a failure, in its own words: untrusted, and for the operator first."""

    code: str | None = None
    message: str | None = None
    request_id: str | None = None


def failure(
    verdict: Verdict,
    complaint: Complaint,
    reply: Reply,
    *,
    secrets: Sequence[str] = (),
    sent: Sequence[str] = (),
) -> ProviderError:
    """The error of ``verdict``, with all that ``reply`` tells an operator. ``x-should-retry`` overrules
    the table. ``secrets`` are cut out of whatever the vendor echoed, and what it quotes of ``sent``, the
    user's own words, out of its message."""
    hint = retry_hint(reply.headers)
    said = cleaned(complaint.message or "", secrets, sent)
    code = cleaned(complaint.code or "", secrets) or None
    return verdict.error(
        (said if verdict.quotes else None) or verdict.message,
        code=verdict.code,
        detail=f"HTTP {reply.status} {code or ''}: {said}".rstrip(": "),
        retryable=verdict.retryable if hint.should_retry is None else hint.should_retry,
        retry_after=verdict.wait if hint.after is None else hint.after,
        ambiguous=verdict.ambiguous,
        started=verdict.started,
        provider_code=code,
        request_id=cleaned(complaint.request_id or "", secrets) or None,
    )


NOT_LET_IN = "The provider did not accept this server's credentials."

#: For a status that no row of a vendor's own knows (the seed application's table, made finer).
BY_STATUS: Mapping[int, Verdict] = {
    400: Verdict(ProviderInvalid, quotes=True),
    401: Verdict(ProviderRejected, "provider_auth", NOT_LET_IN),
    402: Verdict(ProviderRejected, "provider_billing"),
    403: Verdict(ProviderRejected, "provider_auth", NOT_LET_IN),
    404: Verdict(ProviderInvalid, quotes=True),
    408: Verdict(ProviderTimeout, ambiguous=True),
    409: Verdict(ProviderInvalid, quotes=True, ambiguous=True),
    413: Verdict(ProviderInvalid, quotes=True),
    422: Verdict(ProviderInvalid, quotes=True),
    425: Verdict(ProviderUnavailable, ambiguous=True),
    429: Verdict(ProviderUnavailable, "provider_busy"),
    504: Verdict(ProviderTimeout, ambiguous=True),
}


def by_status(status: int) -> Verdict:
    """The row of a status, whatever it is: other refusals are rejections, the rest is not known."""
    if (known := BY_STATUS.get(status)) is not None:
        return known
    if classify_submit_status(status) is SubmitOutcome.REJECTED:
        return Verdict(ProviderRejected, quotes=True)
    return Verdict(ProviderUnavailable, ambiguous=True)


def cleaned(text: str, secrets: Sequence[str] = (), sent: Sequence[str] = ()) -> str:
    """``text`` on one line and short, without URLs, keys, ``secrets``, longer quotes of what was ``sent``,
    and what terminals obey."""
    text = text[: 10 * _LONGEST_MESSAGE]
    for secret in filter(None, secrets):
        text = text.replace(secret, _CUT)
    for words in (*secrets, *sent):
        text = _without_quotes(text, words)
    text = _SECRET.sub(_CUT, _URL.sub(_CUT, text))
    printable = (" " if unicodedata.category(each)[0] in "CZ" else each for each in text)
    line = " ".join("".join(printable).split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1].rstrip() + "…"


def _without_quotes(text: str, words: str) -> str:
    """``text`` without any longer part of ``words``: vendors quote the beginning of what they were sent."""
    kept, at = [], 0
    while at < len(text):
        end = at + _TELLING
        if end > len(text) or text[at:end] not in words:
            kept.append(text[at])
            at += 1
            continue
        while end < len(text) and text[at : end + 1] in words:
            end += 1
        kept.append(_CUT)
        at = end
    return "".join(kept)
