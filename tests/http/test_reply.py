"""Reading a reply: JSON, Location, retry hints and what a status proves."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttsorch._http import Reply, RetryHint, SubmitOutcome, classify_submit_status, retry_hint
from ttsorch.errors import ProviderError, ProviderUnavailable


def _reply(body: bytes = b"", status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, body, "https://vendor.test:8443/jobs/1?key=k")


# --- JSON ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"job_id":"fc-1"}', {"job_id": "fc-1"}),
        (b'\xef\xbb\xbf{"a":[1,2.5,null,true]}', {"a": [1, 2.5, None, True]}),
        ('{"é":"中"}'.encode(), {"é": "中"}),
        (b"[1]", [1]),
        (b'"x"', "x"),
    ],
)
def test_json_is_read(body: bytes, value: object) -> None:
    """Any JSON value, in UTF-8, with or without a byte order mark."""
    assert _reply(body).json() == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"a":',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'"\xff"',
        '{"a":1}'.encode("utf-16"),
        b"[" * 66 + b"]" * 66,
        b"[" * 200_000 + b"]" * 200_000,
    ],
)
def test_what_is_not_json_is_an_error_of_ours(body: bytes) -> None:
    """Torn, foreign, not finite, too deep: one error, ambiguous, without the text."""
    with pytest.raises(ProviderUnavailable) as caught:
        _reply(body).json()
    assert caught.value.ambiguous
    assert caught.value.detail is not None
    assert caught.value.detail.startswith(
        f"https://vendor.test:8443 answered 200 with {len(body)} bytes"
    )


def test_json_may_be_64_levels_deep() -> None:
    """The limit is where it is said to be."""
    nested: object = 1
    for _ in range(64):
        nested = [nested]
    assert _reply(json.dumps(nested).encode()).json() == nested


def test_a_compressed_reply_is_not_read() -> None:
    """We never asked for compression; the bytes may be a bomb."""
    with pytest.raises(ProviderUnavailable):
        _reply(b"{}", content_encoding="gzip").json()
    assert _reply(b"{}", content_encoding="Identity").json() == {}


@pytest.mark.parametrize("body", [b"[]", b'"fc-1"', b"null", b"1"])
def test_an_object_is_asked_for_by_name(body: bytes) -> None:
    """A reply that is JSON but no object is refused like one that is no JSON."""
    with pytest.raises(ProviderUnavailable, match="temporarily unavailable") as caught:
        _reply(body).json_object()
    assert caught.value.ambiguous


@pytest.mark.parametrize(
    ("status", "ambiguous"), [(200, True), (502, True), (400, False), (429, False)]
)
def test_an_unreadable_refusal_is_still_a_refusal(status: int, ambiguous: bool) -> None:
    """When the status proves that nothing was started, a body that can't be read changes nothing."""
    with pytest.raises(ProviderUnavailable) as caught:
        _reply(b"<html>", status).json()
    assert caught.value.ambiguous is ambiguous


@given(st.binary(max_size=200))
def test_no_body_raises_anything_else(body: bytes) -> None:
    """Whatever the bytes, JSON comes out or our error does."""
    try:
        json.dumps(_reply(body).json(), allow_nan=False)
    except ProviderError:
        pass


# --- Location -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "absolute"),
    [
        ("https://other.test/x?y=%20z", "https://other.test/x?y=%20z"),
        ("/result?id=1", "https://vendor.test:8443/result?id=1"),
        ("?id=1", "https://vendor.test:8443/jobs/1?id=1"),
        ("//other.test/x", "https://other.test/x"),
        ("http://127.0.0.1:9/x", "http://127.0.0.1:9/x"),
    ],
)
def test_a_location_is_made_absolute(location: str, absolute: str) -> None:
    """Relative references are resolved against what was asked."""
    assert _reply(status=303, location=location).location == absolute


@pytest.mark.parametrize(
    "location",
    [
        "",
        "https://user:pass@vendor.test/",
        "http://vendor.test/",
        "ftp://vendor.test/",
        "file:///etc/passwd",
        "https:///x",
        "https:x",
        "//vendor.test:x/",
        "//[",
        "https://[",
        "https://vendor.test:99999/",
        "https://vendor.test/é",
        "https://vendor.test/a b",
        "https:\\\\other.test/",
        "/a, /b",
    ],
)
def test_a_location_that_may_not_be_requested_is_none(location: str) -> None:
    """Foreign schemes, user names, plain http, raw characters and nonsense lead nowhere."""
    assert _reply(status=303, location=location).location is None


@pytest.mark.parametrize("status", [200, 201, 202, 300, 304, 400])
def test_only_a_redirect_has_a_location(status: int) -> None:
    """The header of a 201 names a thing, not the way on."""
    assert _reply(status=status, location="/x").location is None
    assert _reply(status=303).location is None


# --- statuses and hints -------------------------------------------------------------------------------


def test_a_status_proves_what_the_table_says() -> None:
    """All statuses: 429 turned away, other 4xx refused, 408, 409, 425 and everything else unknown."""
    outcomes = {status: classify_submit_status(status) for status in range(100, 600)}
    assert outcomes.pop(429) is SubmitOutcome.NOT_STARTED
    for status, outcome in outcomes.items():
        refused = 400 <= status < 500 and status not in (408, 409, 425)
        assert outcome is (SubmitOutcome.REJECTED if refused else SubmitOutcome.UNKNOWN)


_NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "hint"),
    [
        ({}, RetryHint()),
        ({"retry-after-ms": "1500"}, RetryHint(1.5)),
        ({"retry-after-ms": "1500", "retry-after": "9"}, RetryHint(1.5)),
        ({"retry-after-ms": "soon", "retry-after": "9"}, RetryHint(9.0)),
        ({"retry-after": " 0.25 "}, RetryHint(0.25)),
        ({"retry-after": "-5"}, RetryHint(0.0)),
        ({"retry-after": "999999999"}, RetryHint(86_400.0)),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 GMT"}, RetryHint(30.0)),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 -0000"}, RetryHint(30.0)),
        ({"retry-after": "Friday, 20-Nov-26 12:00:30 GMT"}, RetryHint(30.0)),
        ({"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT"}, RetryHint(0.0)),
        ({"retry-after": "Fri, 20 Nov 9999 11:00:00 GMT"}, RetryHint(86_400.0)),
        ({"x-should-retry": "true"}, RetryHint(None, True)),
        ({"x-should-retry": " False "}, RetryHint(None, False)),
        ({"x-should-retry": "perhaps"}, RetryHint()),
        *(
            ({"retry-after": junk}, RetryHint())
            for junk in ("", "nan", "inf", "1e3", "1_0", "٣", "soon", "9" * 400, "Fri, 99 Nov 2026")
        ),
    ],
)
def test_hints_are_read_in_their_order(headers: dict[str, str], hint: RetryHint) -> None:
    """Milliseconds, seconds, a date; junk is absent, the past is now, a day is the most."""
    assert retry_hint(headers, _NOW) == hint


def test_a_date_is_measured_against_the_clock() -> None:
    """Without a time given, an HTTP-date in the past means now."""
    assert retry_hint({"retry-after": "Fri, 20 Nov 2015 12:00:00 GMT"}) == RetryHint(0.0)


@given(st.text(max_size=80))
def test_no_hint_raises(value: str) -> None:
    """Whatever a header says, a hint comes out, within its bounds."""
    after = retry_hint({"retry-after-ms": value, "retry-after": value}, _NOW).after
    assert after is None or 0 <= after <= 86_400


def test_a_reply_of_too_many_parts_is_not_json() -> None:
    """Parsing it would hold up the event loop; one long string does not."""
    many = Reply(200, {}, b"[" + b"[]," * 60_000 + b"[]]", "https://api.example/")
    with pytest.raises(ProviderUnavailable):
        many.json()
    long = Reply(200, {}, b'{"data":"' + b"A" * 1_000_000 + b'"}', "https://api.example/")
    assert long.json_object()["data"] == "A" * 1_000_000
