"""A failure as a record."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ttsorch.errors import (
    Category,
    ProviderError,
    ProviderInvalid,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    TaskCancelled,
    TtsorchError,
)


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """A failure as it is stored on a row and shown to a client.

    ``message`` is safe to show; ``detail`` is for the operator. ``retry_after`` is in seconds. ``ambiguous``
    and ``started`` are those of :class:`~ttsorch.errors.ProviderError`.
    """

    category: Category
    code: str
    message: str
    detail: str | None = None
    retryable: bool = False
    retry_after: float | None = None
    provider_code: str | None = None
    request_id: str | None = None
    ambiguous: bool = False
    started: bool = False

    @classmethod
    def of(cls, error: TtsorchError) -> "ErrorInfo":
        info = cls(
            category=error.category,
            code=error.code,
            message=error.message,
            detail=error.detail,
            retry_after=error.retry_after,
        )
        if not isinstance(error, ProviderError):
            return info
        return replace(
            info,
            retryable=error.retryable,
            provider_code=error.provider_code,
            request_id=error.request_id,
            ambiguous=error.ambiguous,
            started=error.started,
        )

    def as_error(self) -> TtsorchError:
        """What to raise when the failure on a row is the answer to a call."""
        if self.category is Category.CANCELLED:
            return TaskCancelled(self.message, code=self.code, detail=self.detail)
        return _RAISED[self.category](
            self.message,
            code=self.code,
            detail=self.detail,
            retryable=self.retryable,
            # What may be paid again isn't for a proxy to repeat.
            retry_after=None if self.started or self.ambiguous else self.retry_after,
            http_status=502 if self.started or self.ambiguous else None,
            provider_code=self.provider_code,
            request_id=self.request_id,
            ambiguous=self.ambiguous,
            started=self.started,
        )


_RAISED: Mapping[Category, type[ProviderError]] = {
    Category.VALIDATION: ProviderInvalid,
    Category.PROVIDER_UNAVAILABLE: ProviderUnavailable,
    Category.PROVIDER_REJECTED: ProviderRejected,
    Category.TIMEOUT: ProviderTimeout,
}
