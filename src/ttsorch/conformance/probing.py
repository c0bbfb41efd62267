"""What is known about a server before the first case: that it answers, what it speaks with, which voices."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from ttsorch.conformance.client import Answer, Client, NoAnswer
from ttsorch.conformance.matching import at_path
from ttsorch.conformance.templates import LIMIT
from ttsorch.errors import TtsorchError, ValidationError

_PREFERRED_LANGUAGES = ("Auto", "English")
#: Enough to find one to speak with.
_VOICES = "/api/voices?per_page=100"


class Unreachable(TtsorchError):
    """There is no server to test at this address."""

    default_code = "server_unreachable"
    http_status = 502


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of two users of the server; None where it wants none."""

    owner: str | None = field(default=None, repr=False)
    other: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.other is not None and self.owner is None:
            raise ValidationError(
                "A token of another owner needs one of the first.", code="usage", field="token"
            )
        if self.owner is not None and self.owner == self.other:
            raise ValidationError(
                "The two tokens have to be of two owners.", code="usage", field="other_token"
            )
        for token in (self.owner, self.other):
            if token is not None and not (token and token.isascii() and token.isprintable()):
                raise ValidationError(
                    "A token has to be of printable ASCII.", code="usage", field="token"
                )


def base_url(url: str) -> str:
    """Where the paths of the contract begin: ``url`` without what is behind its path, nor ``/api``.

    Raises:
        ValidationError: it isn't the URL of a web server.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        plain = url.isascii() and url.isprintable() and " " not in url
        # Reading the port checks it.
        somewhere = bool(parts.hostname) and parts.username is None and parts.port != 0
        usable = plain and somewhere and parts.scheme in ("http", "https")
    except ValueError:
        usable = False
    if not usable:
        raise ValidationError(
            "The server's URL has to be like https://example.com or http://127.0.0.1:8000,"
            " without a user name.",
            code="url_invalid",
            field="url",
        )
    path = parts.path.rstrip("/").removesuffix("/api")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


async def first_values(
    client: Client, base: str, tokens: Tokens, voice_id: str | None
) -> dict[str, object]:
    """The values that the cases begin with.

    Raises:
        Unreachable: nothing answers, or what does isn't a server of this kind.
        ValidationError: it answers, but not to these tokens.
    """
    try:
        health = await client.ask("GET", f"{base}/api/health", {})
        languages = await client.ask("GET", f"{base}/api/languages", {})
        voices = await _listed(client, base, tokens.owner)
        if tokens.other and voices.status != 401:
            others = await _listed(client, base, tokens.other)
        else:
            others = voices
    except NoAnswer as error:
        raise Unreachable(f"There is no server to test: {error}.") from None
    if not any(isinstance(_json(answer), Mapping) for answer in (health, languages, voices)):
        raise Unreachable(
            "There is no v1 server to test: neither /api/health nor /api/languages is JSON there."
            " The URL has to be the one that /api is below."
        )
    if voices.status == 401:
        raise _not_let_in(tokens)
    if others.status == 401:
        raise _refused("The server does not know the other token.", "other_token")
    run = uuid.uuid4().hex[:8]
    values: dict[str, object] = {"missing.id": str(uuid.uuid4()), "run.id": run}
    values |= _about(_json(languages))
    values |= _voices(_json(voices), values.get("provider.name"))
    if voice_id is not None:
        values["voice.id"] = voice_id
    return values


async def _listed(client: Client, base: str, token: str | None) -> Answer:
    """The voices, as the user with this token sees them."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await client.ask("GET", base + _VOICES, headers)


def _not_let_in(tokens: Tokens) -> ValidationError:
    if tokens.owner is None:
        return _refused(
            "The server wants a token: give it with --token or TTSORCH_CONTRACT_TOKEN.", "token"
        )
    return _refused("The server does not know this token.", "token")


def _refused(sentence: str, field: str) -> ValidationError:
    return ValidationError(sentence, code="token_refused", field=field)


def _about(languages: object) -> Mapping[str, object]:
    limit = at_path(languages, "capabilities.max_text_chars")
    provider = at_path(languages, "provider")
    found: dict[str, object] = {}
    if isinstance(limit, int) and 0 < limit <= 10_000_000:
        found[LIMIT] = limit
    if isinstance(provider, str):
        found["provider.name"] = provider
    return found


def _voices(listed: object, provider: object) -> Mapping[str, object]:
    voices = at_path(listed, "voices")
    rows = [row for row in voices if isinstance(row, Mapping)] if isinstance(voices, list) else []
    rows = [row for row in rows if isinstance(row.get("id"), str)]
    builtin = sorted((row for row in rows if row.get("source") == "builtin"), key=_unfamiliar)
    own = [row for row in rows if row.get("source") != "builtin"]
    found: dict[str, object] = {}
    if builtin:
        found["builtin.id"] = builtin[0]["id"]
    usable = [*builtin, *_own_of(own, provider)]
    if usable:
        found["voice.id"] = usable[0]["id"]
    foreign = [row for row in own if row.get("tts_provider") not in (provider, None)]
    if foreign:
        found["foreign.id"] = foreign[0]["id"]
        found["foreign.provider"] = foreign[0]["tts_provider"]
    return found


def _own_of(
    own: Sequence[Mapping[str, object]], provider: object
) -> Sequence[Mapping[str, object]]:
    """Those of this provider; first the ones with a transcript, which some can't do without."""
    usable = [row for row in own if row.get("tts_provider") == provider]
    return sorted(usable, key=lambda row: not row.get("reference_transcript"))


def _unfamiliar(row: Mapping[str, object]) -> bool:
    return not str(row.get("language")).startswith(_PREFERRED_LANGUAGES)


def _json(answer: Answer) -> object:
    try:
        return answer.json()
    except ValueError:
        return None
