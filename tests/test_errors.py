"""The error tree: categories, codes, sentences, and what is kept on a row."""

import inspect
from typing import Any

import pytest

from ttsorch import errors
from ttsorch.errors import (
    LONGEST_WAIT,
    Category,
    ProviderUnavailable,
    StorageUnavailable,
    TtsorchError,
    ValidationError,
)
from ttsorch.models import ErrorInfo

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, TtsorchError)
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_category_a_code_and_a_sentence(kind: type[TtsorchError]) -> None:
    """Whatever is raised can be shown and switched on."""
    error = kind()
    assert error.category in Category
    assert error.code == kind.default_code
    assert error.message == str(error)
    assert error.message[0].isupper()
    assert 400 <= error.http_status <= 599


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_stands_in_the_tree_of_the_module_docstring(kind: type[TtsorchError]) -> None:
    """The drawing is complete."""
    assert kind.__name__ in (errors.__doc__ or "")


def test_what_is_given_replaces_the_defaults() -> None:
    """Message, code, status and hint are the raiser's to choose."""
    error = TtsorchError("No.", code="no", detail="why", http_status=418, retry_after=3)
    assert (error.message, error.code, error.detail) == ("No.", "no", "why")
    assert (error.http_status, error.retry_after) == (418, 3)
    assert TtsorchError().http_status == 400


def test_a_validation_error_names_field_and_limit() -> None:
    """So that a form can point at the input."""
    error = ValidationError("Too long", field="text", limit=5)
    assert (error.field, error.limit) == ("text", 5)


def test_a_provider_error_keeps_what_the_vendor_said_about_itself() -> None:
    """Vendor code, request id, retry advice and ambiguity survive on the row."""
    error = ProviderUnavailable(
        retry_after=2, provider_code="Throttling", request_id="r-1", ambiguous=True
    )
    assert error.retryable
    assert error.ambiguous
    info = ErrorInfo.of(error)
    assert (info.retryable, info.retry_after) == (True, 2)
    assert (info.provider_code, info.request_id) == ("Throttling", "r-1")


def test_retryable_can_be_overruled() -> None:
    """An adapter knows better than the class."""
    assert not ProviderUnavailable(retryable=False).retryable


def test_an_error_of_ours_is_kept_without_vendor_fields() -> None:
    """There is no vendor to quote."""
    info = ErrorInfo.of(StorageUnavailable(detail="ENOSPC"))
    assert (info.category, info.code, info.detail) == (
        Category.PROVIDER_UNAVAILABLE,
        "storage_unavailable",
        "ENOSPC",
    )
    assert (info.retryable, info.provider_code, info.request_id) == (False, None, None)


@pytest.mark.parametrize(
    ("named", "taken"),
    [
        (0, 0),
        (2.5, 2.5),
        (LONGEST_WAIT + 1, LONGEST_WAIT),
        (10**400, LONGEST_WAIT),
        (-1, None),
        (float("nan"), None),
        (float("inf"), None),
        (float("-inf"), None),
        ("60", None),
        (True, None),
    ],
)
def test_a_wait_that_is_none_counts_as_none(named: Any, taken: float | None) -> None:
    """Adapters are other people's code: no backoff, pause or header has to think of NaN, whether the error
    was made with it or was given it later."""
    error = ProviderUnavailable(retry_after=named)
    assert error.retry_after == taken
    assert ErrorInfo.of(error).retry_after == taken
    later = ProviderUnavailable()
    later.retry_after = named
    assert later.retry_after == taken
