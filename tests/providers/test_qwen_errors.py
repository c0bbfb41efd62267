"""What each of DashScope's errors becomes: the rows of the vendor's tables, one by one."""

import pytest

from tests.providers.dashscope_recordings import API_KEY, REQUEST_ID, error_body, reply_of
from ttsorch._http import Reply
from ttsorch.errors import (
    Category,
    ProviderError,
    ProviderInvalid,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from ttsorch.models import JsonValue
from ttsorch.providers._qwen.errors import read_failure

_FULL = "Free allocated quota exceeded."


def _failure(
    payload: "JsonValue | bytes", status: int, headers: dict[str, str] | None = None
) -> ProviderError:
    error = read_failure(reply_of(payload, status, headers), (API_KEY,))
    assert error is not None
    return error


@pytest.mark.parametrize("code", ["", None, 0])
def test_a_success_without_a_code_is_no_failure(code: JsonValue) -> None:
    """The documented samples carry an empty code on success."""
    assert read_failure(reply_of({"code": code, "output": {}}), ()) is None


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "InvalidParameter"),
        (400, "BadRequest.EmptyInput"),
        (400, "BadRequest.InputDownloadFailed"),
        (400, "InvalidURL.ConnectionRefused"),
        (400, "UnsupportedOperation"),
        (400, "Audio.AudioSilentError"),
        (430, "Audio.DecoderError"),
        (404, "ModelNotFound"),
        (404, "WorkSpaceNotFound"),
        (404, "NotFound"),
        (200, "InvalidParameter"),
    ],
)
def test_a_wrong_request_is_invalid_in_the_vendors_words(status: int, code: str) -> None:
    """Validation rows quote the vendor, and nothing was started."""
    error = _failure(error_body(code, "text is out of range"), status)
    assert type(error) is ProviderInvalid
    assert error.message == "text is out of range"
    assert (error.ambiguous, error.started, error.retryable) == (False, False, False)


@pytest.mark.parametrize(
    ("status", "code", "ours", "message"),
    [
        (401, "InvalidApiKey", "provider_auth", ""),
        (401, "NOT AUTHORIZED", "provider_auth", ""),
        (403, "AccessDenied", "provider_auth", ""),
        (403, "Model.AccessDenied", "provider_auth", ""),
        (403, "Workspace.AccessDenied", "provider_auth", ""),
        (403, "AccessDenied.Unpurchased", "provider_billing", ""),
        (403, "AllocationQuota.FreeTierOnly", "provider_billing", ""),
        (400, "Arrearage", "provider_billing", ""),
        (403, "Arrearage", "provider_billing", ""),
        (429, "CommodityNotPurchased", "provider_billing", ""),
        (429, "PrepaidBillOverdue", "provider_billing", ""),
        (429, "PostpaidBillOverdue", "provider_billing", ""),
        (429, "Throttling.AllocationQuota", "provider_billing", _FULL),
        (400, "Throttling.AllocationQuota", "provider_voice_quota", ""),
        (400, "DataInspectionFailed", "provider_content", ""),
        (400, "InvalidParameter.DataInspection", "provider_content", ""),
        (400, "IPInfringementSuspect", "provider_content", ""),
        (400, "CustomRoleBlocked", "provider_content", ""),
        (200, "DataInspectionFailed", "provider_content", ""),
    ],
)
def test_a_refusal_is_final_and_in_our_words(
    status: int, code: str, ours: str, message: str
) -> None:
    """Keys, bills and content rules aren't retried, whatever the status, and aren't quoted."""
    error = _failure(error_body(code, f"{message} vendorese"), status)
    assert type(error) is ProviderRejected
    assert error.code == ours
    assert "vendorese" not in error.message
    assert (error.ambiguous, error.started, error.retryable) == (False, False, False)


@pytest.mark.parametrize(
    "code",
    [
        "Throttling",
        "Throttling.RateQuota",
        "Throttling.BurstRate",
        "Throttling.AllocationQuota",
        "SomethingNew",
    ],
)
def test_a_throttled_call_was_not_started_and_may_be_repeated_later(code: str) -> None:
    """A 429 waits ten seconds when the vendor doesn't say how long."""
    error = _failure(error_body(code), 429)
    assert type(error) is ProviderUnavailable
    assert (error.code, error.retry_after) == ("provider_busy", 10.0)
    assert (error.ambiguous, error.started, error.retryable) == (False, False, True)


def test_the_vendors_own_wait_wins() -> None:
    """A Retry-After replaces our ten seconds."""
    error = _failure(error_body("Throttling"), 429, {"retry-after": "42"})
    assert error.retry_after == 42.0


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "InternalError"),
        (500, "InternalError.Algo"),
        (500, "SystemError"),
        (500, "ModelServiceFailed"),
        (500, "ModelServingError"),
        (503, "ModelUnavailable"),
        (502, "SomethingNew"),
        (200, "SomethingNew"),
    ],
)
def test_a_failure_the_vendor_names_itself_has_begun_and_ended(status: int, code: str) -> None:
    """It isn't ambiguous, but only a user may ask again: ``started``."""
    error = _failure(error_body(code), status)
    assert type(error) is ProviderUnavailable
    assert (error.ambiguous, error.started, error.retryable) == (False, True, True)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "RequestTimeOut"),
        (500, "RequestTimeout"),
        (500, "InternalError.Timeout"),
        (504, "GatewayTimeout"),
        (504, "SomethingNew"),
        (504, "InternalError"),
        (504, "ModelServingError"),
    ],
)
def test_a_timeout_of_theirs_is_ambiguous(status: int, code: str) -> None:
    """What stopped waiting may not be what was working."""
    error = _failure(error_body(code), status)
    assert type(error) is ProviderTimeout
    assert (error.ambiguous, error.started) == (True, False)


@pytest.mark.parametrize(
    ("status", "payload"),
    [
        (500, b"<html>Internal Server Error</html>"),
        (502, b""),
        (503, b'{"code":"ModelUnav'),
        (500, b'["InternalError"]'),
        (500, b'{"message":"no code"}'),
        (302, b""),
    ],
)
def test_a_server_error_that_is_not_the_vendors_own_is_ambiguous(
    status: int, payload: bytes
) -> None:
    """A gateway's page says nothing about the server behind it."""
    error = _failure(payload, status)
    assert type(error) is ProviderUnavailable
    assert (error.ambiguous, error.started) == (True, False)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ProviderInvalid), (401, ProviderRejected), (418, ProviderRejected)],
)
def test_an_unknown_code_falls_back_on_the_status(status: int, kind: type[ProviderError]) -> None:
    """New codes of a known status land where the status says."""
    error = _failure(error_body("SomethingNew"), status)
    assert type(error) is kind
    assert not error.ambiguous


def test_codes_are_read_whatever_their_case() -> None:
    """The vendor spells one of its own codes in capitals."""
    assert _failure(error_body("invalidapikey"), 400).code == "provider_auth"


def test_a_longer_code_is_not_the_shorter_one() -> None:
    """Only rows that say so match by their beginning."""
    assert type(_failure(error_body("NotFoundAnywhere"), 500)) is ProviderUnavailable


@pytest.mark.parametrize(
    ("payload", "expected"),
    [(error_body("InternalError"), REQUEST_ID), ({"code": "InternalError"}, "from-header")],
)
def test_the_request_id_is_kept_for_the_operator(payload: JsonValue, expected: str) -> None:
    """From the body, else from the header; the vendor's code beside it."""
    error = _failure(payload, 500, {"x-request-id": "from-header"})
    assert (error.request_id, error.provider_code) == (expected, "InternalError")


@pytest.mark.parametrize("code", ["InvalidParameter", "InvalidApiKey", "SomethingNew"])
@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_an_echoed_key_appears_nowhere(code: str, status: int) -> None:
    """Neither message nor detail nor codes nor ids repeat our key, wherever the vendor put it."""
    body = {
        "code": f"{code}{API_KEY}",
        "message": f"Incorrect key {API_KEY} at https://x.test/?k={API_KEY}",
        "request_id": API_KEY,
    }
    error = _failure(body, status)
    assert API_KEY not in f"{error!r} {error} {vars(error)!r}"
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("status", [404, 405])
def test_an_address_without_the_api_is_a_misconfiguration(status: int) -> None:
    """No code of the vendor's: what answers there isn't DashScope, and the user's text isn't to blame."""
    error = read_failure(Reply(status, {}, b"<html>Not Found</html>", "https://x.example/"), ())
    assert error is not None
    assert (error.category, error.code) == (Category.PROVIDER_REJECTED, "provider_misconfigured")
    assert not error.ambiguous
