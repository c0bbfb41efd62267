"""Where a deployment's endpoints are and what opens them, checked before anything is sent.

Every endpoint has a host of its own, so that each setting holds a whole URL and none is derived from another
(https://modal.com/docs/guide/webhook-urls, read November 2026).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from ttsorch._http import require_https
from ttsorch.errors import ConfigurationError
from ttsorch.models import Capabilities

SUBMIT = "MODAL_JOB_SUBMIT"
STATUS = "MODAL_JOB_STATUS"
RESULT = "MODAL_JOB_RESULT"
CANCEL = "MODAL_JOB_CANCEL"
DESIGN = "MODAL_ENDPOINT_VOICE_DESIGN"
KEY = "MODAL_KEY"
SECRET = "MODAL_SECRET"  # noqa: S105  # the name of the variable

#: What the worker's samples allow for ``max_new_tokens``.
FEWEST_TOKENS, MOST_TOKENS = 256, 4096

# The application's own cap: Modal has none (contract section 3).
_MAX_TEXT_CHARS = 10_000
_RESULT_LIFETIME = 7 * 86_400.0
LANGUAGES = (
    "Chinese",
    "English",
    "Japanese",
    "Korean",
    "German",
    "French",
    "Russian",
    "Portuguese",
    "Spanish",
    "Italian",
)

_PRINTABLE = re.compile(r"[!-~]+")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True, slots=True, repr=False)
class ModalSettings:
    """Whole URLs; ``headers`` carry the proxy token, if there is one, and go to these URLs' origins only."""

    submit_url: str
    status_url: str
    result_url: str
    cancel_url: str | None
    design_url: str | None
    headers: Mapping[str, str]

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(self.headers.values())

    @property
    def audio_places(self) -> tuple[str, ...]:
        """Where audio comes from, as ``host:port``. The operator chose these places, and they are asked for
        everything else already: they may be on a private network."""
        urls = (self.result_url, self.design_url)
        places = (_host_and_port(httpx.URL(url)) for url in urls if url is not None)
        return tuple(dict.fromkeys(places))


def checked_settings(
    *,
    submit_url: str | None,
    status_url: str | None,
    result_url: str | None,
    cancel_url: str | None,
    design_url: str | None,
    key: str | None,
    secret: str | None,
) -> ModalSettings:
    """
    Raises:
        ConfigurationError: names the variable that is missing or malformed, never its value.
    """
    return ModalSettings(
        submit_url=_required_url(submit_url, SUBMIT),
        status_url=_required_url(status_url, STATUS),
        result_url=_required_url(result_url, RESULT),
        cancel_url=None if cancel_url is None else _checked_url(cancel_url, CANCEL),
        design_url=None if design_url is None else _checked_url(design_url, DESIGN),
        headers=_proxy_token(key, secret),
    )


def capabilities_of(settings: ModalSettings) -> Capabilities:
    """What a deployment with these endpoints can do. Results are kept for up to seven days
    (https://modal.com/docs/guide/job-queue, read November 2026)."""
    return Capabilities(
        max_text_chars=_MAX_TEXT_CHARS,
        can_cancel=settings.cancel_url is not None,
        languages=LANGUAGES,
        formats=("wav",),
        sample_rates=(24_000,),
        cloning=True,
        sends_clip=True,
        design=settings.design_url is not None,
        result_lifetime=_RESULT_LIFETIME,
    )


def checked_tokens(value: int) -> int:
    """
    Raises:
        ConfigurationError: code ``setting_malformed``.
    """
    if not FEWEST_TOKENS <= value <= MOST_TOKENS:
        raise _malformed("max_new_tokens", f"from {FEWEST_TOKENS} to {MOST_TOKENS}")
    return value


def checked_seconds(value: float, name: str) -> float:
    """
    Raises:
        ConfigurationError: code ``setting_malformed``.
    """
    if not (math.isfinite(value) and value > 0):
        raise _malformed(name, "a positive number of seconds")
    return value


def _required_url(url: str | None, variable: str) -> str:
    if url is None:
        raise ConfigurationError(
            f"{variable} must be set to the whole URL of that endpoint.",
            code="setting_missing",
            field=variable,
        )
    return _checked_url(url, variable)


def _checked_url(url: str, variable: str) -> str:
    host = httpx.URL(require_https(url, variable)).raw_host.decode("ascii")
    # The downloader wants names spelled in one way only, and would refuse others without a variable's name.
    if ":" not in host and not (len(host) < 254 and _HOST_NAME.fullmatch(host)):
        raise _malformed(variable, "a URL whose host is a name without a dot at its end")
    return url


def _proxy_token(key: str | None, secret: str | None) -> Mapping[str, str]:
    """The headers of a function with ``requires_proxy_auth``; none for a public one
    (https://modal.com/docs/guide/webhook-proxy-auth, read November 2026)."""
    if key is None and secret is None:
        return {}
    for value, variable, other in ((key, KEY, SECRET), (secret, SECRET, KEY)):
        if value is None:
            raise ConfigurationError(
                f"{variable} must be set when {other} is.", code="setting_missing", field=variable
            )
        if not _PRINTABLE.fullmatch(value):
            raise _malformed(variable, "printable ASCII without spaces")
    return {"Modal-Key": key or "", "Modal-Secret": secret or ""}


def _malformed(name: str, expected: str) -> ConfigurationError:
    return ConfigurationError(f"{name} must be {expected}.", code="setting_malformed", field=name)


def _host_and_port(url: httpx.URL) -> str:
    host = url.raw_host.decode("ascii")
    port = url.port or (443 if url.scheme == "https" else 80)
    return f"{f'[{host}]' if ':' in host else host}:{port}"
