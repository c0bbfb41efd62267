"""Why a result is turned away: one function per ``code``, so that the same fault always reads the same.

Nothing of the result's own bytes goes into these errors; they may be a vendor's error page.
"""

from ttsorch.errors import CorruptResult


def not_audio(detail: str) -> CorruptResult:
    return CorruptResult(
        "The provider returned something that is not audio.",
        code="result_not_audio",
        detail=detail,
    )


def empty(detail: str) -> CorruptResult:
    return CorruptResult(
        "The provider returned audio without any sound in it.", code="result_empty", detail=detail
    )


def too_large(max_bytes: int) -> CorruptResult:
    return CorruptResult(
        "The provider returned more audio than this server accepts.",
        code="result_too_large",
        detail=f"over {max_bytes} bytes",
    )


def cut_short(detail: str) -> CorruptResult:
    return CorruptResult("The provider's audio was cut short.", detail=detail)


def malformed(detail: str) -> CorruptResult:
    return CorruptResult(detail=detail)
