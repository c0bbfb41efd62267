"""Every failure a user of ttsorch can meet, in one tree.

Each error has one of five categories (the v1 contract's taxonomy), a stable machine ``code``, and a
human ``message`` that is safe to show: it never holds a secret, a URL, a traceback or a vendor's raw
body. ``detail`` is for the operator's log only.

::

    TtsorchError
    ├── ValidationError          validation            the request can't be served as it stands
    │   ├── NotFound                                   no such row for this owner
    │   ├── IdempotencyConflict                        this key was used with another payload
    │   ├── ActiveJobLimit                             the owner has as many active jobs as allowed
    │   ├── SubmitRateLimit                            the owner began as many as allowed in a minute
    │   └── ConfigurationError                         a setting is missing or malformed
    ├── ProviderError                                  what a provider answered, or failed to
    │   ├── ProviderUnavailable  provider_unavailable  it can't serve this now; later it may
    │   │   ├── ProviderBusy                           nothing new may be sent there just now
    │   │   ├── NotReady                               the result isn't there yet
    │   │   ├── ResultExpired                          the result is gone
    │   │   └── CorruptResult                          what came back isn't the promised audio
    │   ├── ProviderRejected     provider_rejected     it won't serve this, however often we ask
    │   ├── ProviderInvalid      validation            it says that the request itself is wrong
    │   └── ProviderTimeout      timeout               it did not answer in time
    ├── StorageUnavailable       provider_unavailable  our own database or blob store can't answer
    │   ├── BlobNotFound         validation
    │   ├── BlobExists
    │   ├── RowUnreadable                          a row is there, and this version can't read it
    │   └── SchemaTooNew
    ├── TaskCancelled            cancelled             the task was cancelled
    ├── IllegalTransition        validation            a task can't take this event in its phase
    ├── EffectRefused        provider_rejected     a listener won't take an effect, however often it's told
    └── InternalError            provider_unavailable  a defect of ours, or of an adapter
"""

import math
from enum import StrEnum

#: In seconds. Whoever names a longer wait is taken for this one, which every clock can add.
LONGEST_WAIT = 30 * 24 * 3600.0


def sane_wait(seconds: object) -> float | None:
    """A wait in seconds that somebody else's code named, :data:`LONGEST_WAIT` at most; None for what is none:
    no number, NaN, endless, or in the past."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return min(seconds, LONGEST_WAIT) if 0 <= seconds < math.inf else None


class Category(StrEnum):
    """The five stable categories that v1 clients switch on (seed document 02, rule 8)."""

    VALIDATION = "validation"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_REJECTED = "provider_rejected"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


class TtsorchError(Exception):
    """Root of the tree.

    ``http_status`` is what a server should answer when the contract's row doesn't say otherwise.
    ``retry_after`` is in seconds; what is no usable wait (:func:`sane_wait`) counts as none.
    """

    category: Category = Category.VALIDATION
    default_code: str = "error"
    http_status: int = 400
    default_message: str = "The request could not be served."

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        detail: str | None = None,
        http_status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.message = message or self.default_message
        self.code = code or self.default_code
        self.detail = detail
        self.retry_after = retry_after
        if http_status is not None:
            self.http_status = http_status
        super().__init__(self.message)

    @property
    def retry_after(self) -> float | None:
        return self._retry_after

    @retry_after.setter
    def retry_after(self, seconds: float | None) -> None:
        self._retry_after = sane_wait(seconds)


class ValidationError(TtsorchError):
    """The request can't be served as it stands; nothing was written."""

    default_code = "invalid_request"

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        field: str | None = None,
        limit: int | None = None,
        detail: str | None = None,
        http_status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(
            message, code=code, detail=detail, http_status=http_status, retry_after=retry_after
        )
        self.field = field
        self.limit = limit


class NotFound(ValidationError):
    """No such row for this owner; another owner's row looks exactly the same (contract C7)."""

    default_code = "not_found"
    default_message = "Not found."
    http_status = 404


class IdempotencyConflict(ValidationError):
    """The idempotency key was used before with another payload; the first task is untouched."""

    default_code = "idempotency_conflict"
    default_message = "This Idempotency-Key was already used with a different request."
    http_status = 409


class ActiveJobLimit(ValidationError):
    """The owner already has as many active jobs as allowed; nothing was written."""

    default_code = "active_job_limit"
    default_message = (
        "A generation is already in progress. Please wait for it to finish before starting another."
    )
    http_status = 409


class SubmitRateLimit(ValidationError):
    """The owner began as many jobs within a minute as allowed; nothing was written. ``retry_after`` says
    when the next one will be taken."""

    default_code = "submit_rate_limit"
    default_message = "Too many requests in a short time. Please try again in a moment."
    http_status = 429


class ConfigurationError(ValidationError):
    """A setting is missing or malformed. Names the setting, never its value."""

    default_code = "configuration"
    http_status = 500


class ProviderError(TtsorchError):
    """What a provider answered, or failed to.

    ``ambiguous`` says that a submit may have been accepted although we hold no proof; such a submit is
    never sent again unless the host allows it. What timed out is ambiguous unless its raiser says that it
    isn't. ``retryable`` says that the same call may succeed later;
    ``started``, that the provider began the work before it gave up, so that sending it again may be paid
    again: only a user may do that.
    """

    category = Category.PROVIDER_UNAVAILABLE
    default_retryable: bool = False
    default_ambiguous: bool = False

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        detail: str | None = None,
        http_status: int | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
        ambiguous: bool | None = None,
        started: bool = False,
        provider_code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(
            message, code=code, detail=detail, http_status=http_status, retry_after=retry_after
        )
        self.retryable = self.default_retryable if retryable is None else retryable
        self.ambiguous = self.default_ambiguous if ambiguous is None else ambiguous
        self.started = started
        self.provider_code = provider_code
        self.request_id = request_id


class ProviderUnavailable(ProviderError):
    """The provider can't serve this now; the same call may succeed later."""

    default_code = "provider_unavailable"
    default_message = "Provider is temporarily unavailable. Please try again."
    default_retryable = True
    http_status = 503


class ProviderBusy(ProviderUnavailable):
    """As much is under way at the provider as allowed, or the vendor asked for a pause, which lasts for
    ``retry_after``; nothing was written."""

    default_code = "provider_busy"
    default_message = "The speech service is busy. Please try again in a moment."
    http_status = 429


class NotReady(ProviderUnavailable):
    """The result isn't there yet; ask again."""

    default_code = "result_not_ready"


class ResultExpired(ProviderUnavailable):
    """The result is gone: its URL expired, or the provider dropped it."""

    default_code = "result_expired"
    default_message = "The provider no longer has the audio for this task."
    default_retryable = False


class CorruptResult(ProviderUnavailable):
    """What came back isn't the promised audio: not audio at all, empty, cut short or too large."""

    default_code = "corrupt_result"
    default_message = "The provider returned a result that is not valid audio."


class ProviderRejected(ProviderError):
    """The provider won't serve this, however often it is asked."""

    category = Category.PROVIDER_REJECTED
    default_code = "provider_rejected"
    default_message = "The provider rejected the request."
    http_status = 502


class ProviderInvalid(ProviderError):
    """The provider says that the request itself is wrong: a text, a voice, a recording it can't take."""

    category = Category.VALIDATION
    default_code = "provider_invalid_request"
    default_message = "The provider could not accept this request."
    http_status = 400


class ProviderTimeout(ProviderError):
    """The provider did not answer in time. It may have begun all the same."""

    category = Category.TIMEOUT
    default_code = "provider_timeout"
    default_message = "Provider request timed out. Please try again."
    default_retryable = True
    default_ambiguous = True
    http_status = 504


class StorageUnavailable(TtsorchError):
    """Our own database or blob store could not answer; nothing is lost, try again."""

    category = Category.PROVIDER_UNAVAILABLE
    default_code = "storage_unavailable"
    default_message = "Storage is temporarily unavailable. Please try again."
    http_status = 503


class BlobNotFound(StorageUnavailable):
    """No blob has this key; asking again won't change that."""

    category = Category.VALIDATION
    default_code = "blob_not_found"
    default_message = "The stored audio is missing."
    http_status = 404


class BlobExists(StorageUnavailable):
    """A blob with this key is already published; blobs are immutable."""

    default_code = "blob_exists"
    http_status = 409


class RowUnreadable(StorageUnavailable):
    """A row is there, but it is damaged, or a newer ttsorch wrote what this one doesn't know. It is left as
    it is: once it is mended, or served by the newer version, all is as before. ``detail`` names the row."""

    default_code = "row_unreadable"
    default_message = "This item can't be read at the moment. Please try again later."


class SchemaTooNew(StorageUnavailable):
    """The database was migrated by a newer ttsorch; this one refuses to touch it."""

    default_code = "schema_too_new"


class TaskCancelled(TtsorchError):
    """The task was cancelled."""

    category = Category.CANCELLED
    default_code = "cancelled"
    default_message = "Cancelled by user"
    http_status = 409


class IllegalTransition(TtsorchError):
    """A task can't take this event in its phase; the task is unchanged."""

    default_code = "illegal_transition"
    default_message = "The task can no longer change that way."
    http_status = 409


class EffectRefused(TtsorchError):
    """Raised by an effect listener: it won't take this effect, however often it is told."""

    category = Category.PROVIDER_REJECTED
    default_code = "effect_refused"
    default_message = "The effect was refused."
    http_status = 502


class InternalError(TtsorchError):
    """A defect of ours or of an adapter; the cause is chained and logged, never shown."""

    category = Category.PROVIDER_UNAVAILABLE
    default_code = "internal_error"
    default_message = "Something went wrong on our side. Please try again."
    http_status = 500
