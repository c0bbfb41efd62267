"""What a provider says of itself."""

from dataclasses import dataclass
from enum import StrEnum


class Idempotency(StrEnum):
    """How a provider lets us ask twice without paying twice, if it does."""

    NONE = "none"
    CLIENT_ID = "client_id"
    HEADER_KEY = "header_key"
    FIND_BY_REFERENCE = "find_by_reference"


class OnUnknown(StrEnum):
    """What to do when nobody can tell whether a submit was accepted."""

    FAIL = "fail"
    RESUBMIT = "resubmit"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do, as data. ``max_text_chars`` counts UTF-16 code units (contract C9),
    ``result_lifetime`` is in seconds, an empty ``languages`` accepts any.

    ``cloning`` and ``design`` say that voices can be made from a recording and from a description.
    ``sends_clip``: a voice is its recording and transcript, sent along with every request.
    ``clip_formats`` are the extensions of the recordings it takes; empty for any that we know.
    """

    max_text_chars: int
    direct: bool = False
    can_cancel: bool = False
    idempotency: Idempotency = Idempotency.NONE
    on_unknown: OnUnknown = OnUnknown.FAIL
    languages: tuple[str, ...] = ()
    formats: tuple[str, ...] = ("wav",)
    sample_rates: tuple[int, ...] = ()
    cloning: bool = False
    sends_clip: bool = False
    clip_formats: tuple[str, ...] = ()
    design: bool = False
    result_lifetime: float | None = None
    webhook: str | None = None
    supports_generate: bool = True
    supports_generate_stream: bool = False
    default_generate_mode: str = "task"
    allow_generate_mode_toggle: bool = False
