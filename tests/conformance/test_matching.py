"""What a check asks of a value, and what it says when it gets another."""

from collections.abc import Mapping

import pytest

from ttsorch.conformance.matching import ABSENT, at_path, mismatches, same
from ttsorch.conformance.payloads import a_tone, payload
from ttsorch.conformance.redaction import Redaction
from ttsorch.conformance.schema import Content, Matcher
from ttsorch.conformance.templates import Unknown, filled, filled_path, filled_text

VALUES: Mapping[str, object] = {"a.id": "x", "a.count": 3, "N": 5}


def ok(value: object, matcher: object) -> bool:
    return not mismatches(value, Matcher.model_validate(matcher), VALUES)


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("string", ["", "a"], [None, 1, []]),
        ("string?", [None, ""], [1]),
        ("sentence", ["a"], ["", "  ", None]),
        ("number", [1, 1.5], [True, "1", None]),
        ("integer", [0, 7], [1.5, False, "1"]),
        ("boolean", [True, False], [0, "true"]),
        ("null", [None], [False, ""]),
        ("list", [[]], [{}, ""]),
        ("object", [{}], [[], None]),
        (
            "time",
            ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123+02:00"],
            ["2026-01-01T00:00:00", "now", 1],
        ),
        ("time?", [None], [""]),
        (
            "link",
            ["https://a/b", "http://127.0.0.1:1/x"],
            ["/a", "ftp://a", "http://", "http://[", 1],
        ),
        ("any", [None, 1, {}], []),
    ],
)
def test_a_type_is_json_s(kind: str, right: list[object], wrong: list[object]) -> None:
    """True is no number, and a time has its zone."""
    assert all(ok(value, kind) for value in right)
    assert not any(ok(value, kind) for value in wrong)


@pytest.mark.parametrize(
    ("matcher", "right", "wrong"),
    [
        ({"is": 1}, 1.0, True),
        ({"is": None}, None, False),
        ({"is": "{a.id}"}, "x", "{a.id}"),
        ({"is": "{a.count}"}, 3, "3"),
        ({"is": {"k": ["{a.id}"]}}, {"k": ["x"]}, {"k": ["y"]}),
        ({"not": "{a.id}"}, "y", "x"),
        ({"one_of": ["{a.id}", 7]}, 7, 8),
        ({"pattern": "^{a.id}+$"}, "xx", "y"),
        ({"length": 2}, ["a", "b"], ["a"]),
        ({"at_least": 1, "at_most": 2}, 2, 3),
        ({"at_least": 1}, "a", ""),
        ({"at_most": 1}, [1], None),
        ({"each": "string"}, ["a"], ["a", 1]),
        ({"each": "string"}, [], {}),
        ({"contains": {"keys": {"k": {"is": 1}}}}, [{}, {"k": 1}], [{"k": 2}]),
        ({"lacks": {"is": 1}}, [2], [2, 1]),
        ({"first": {"is": 1}}, [1, 2], [2, 1]),
        ({"first": "integer"}, [1], []),
        ({"keys": {"k": "null"}}, {"k": None, "more": 1}, {}),
        ({"absent": ["k"]}, {}, {"k": None}),
        ({"keys": {"a": {"same_as": "b"}}}, {"a": 1, "b": 1}, {"a": 1, "b": 2}),
        (
            {"newest_first": "at"},
            [{"at": "2026-01-02T00:00:00Z"}, {"at": None}, {"at": "2026-01-01T00:00:00Z"}],
            [{"at": "2026-01-01T00:00:00Z"}, {"at": "2026-01-02T00:00:00Z"}],
        ),
        (
            {"newest_first": "at"},
            [{"at": "2026-01-01T01:00:00Z"}, {"at": "2026-01-01T01:30:00+01:00"}],
            [{"at": "2026-01-01T01:30:00+01:00"}, {"at": "2026-01-01T01:00:00Z"}],
        ),
    ],
)
def test_a_check_takes_the_right_and_refuses_the_wrong(
    matcher: object, right: object, wrong: object
) -> None:
    """One of each, for every kind of check."""
    assert ok(right, matcher)
    assert not ok(wrong, matcher)


def test_what_is_additive_may_be_missing_but_not_wrong() -> None:
    """The first is only a note."""
    matcher = Matcher.model_validate({"additive": {"k": "integer"}})
    [missing] = mismatches({}, matcher, {})
    [wrong] = mismatches({"k": "1"}, matcher, {})

    assert (missing.additive, missing.got) == (True, ABSENT)
    assert (wrong.additive, wrong.path, wrong.got) == (False, "k", "1")


def test_a_mismatch_names_its_place() -> None:
    """Down through objects and lists."""
    matcher = Matcher.model_validate({"keys": {"a": {"each": {"keys": {"b": "integer"}}}}})
    [found] = mismatches({"a": [{"b": 1}, {"b": "2"}]}, matcher, {})

    assert (found.path, found.expected) == ("a.1.b", "integer")


def test_a_path_leads_into_json() -> None:
    """Or to nothing, which is not null."""
    value = {"a": [{"b": None}]}

    assert at_path(value, "a.0.b") is None
    assert at_path(value, "a.1.b") is ABSENT
    assert at_path(value, "a.b") is ABSENT
    assert at_path(value, "") == value


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (0, False), ([1], [1, 2]), ({"a": 1}, {"a": 1, "b": 2})]
)
def test_json_values_that_differ(one: object, other: object) -> None:
    """Even where Python finds them equal."""
    assert not same(one, other)
    assert not same(other, one)


# --- templates -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{a.id}", "x"),
        ("{a.count}", 3),
        ("{N}", 5),
        ("n: {a.count}", "n: 3"),
        ("{b*3}", "bbb"),
        ("{b*N+1}", "bbbbbb"),
        ("{b*N-1}", "bbbb"),
        ("{😀*N/2+1}", "😀😀😀"),
        ("{e\u0301*2}", "e\u0301e\u0301"),
        ("{", "{"),
        ("{'text': 1}", "{'text': 1}"),
        ("{}", "{}"),
        (["{a.id}", {"{a.id}": "{a.count}"}], ["x", {"{a.id}": 3}]),
        (None, None),
    ],
)
def test_placeholders_are_filled(template: object, expected: object) -> None:
    """A whole one keeps its type; other braces mean themselves."""
    assert filled(template, VALUES) == expected


def test_a_value_in_a_path_is_one_segment() -> None:
    """Whatever a server has called it."""
    assert filled_path("/api/{a.id}/b", {"a.id": "../x y?"}) == "/api/..%2Fx%20y%3F/b"


@pytest.mark.parametrize("template", ["{b.id}", "{N}", "{a*N}"])
def test_a_value_that_is_not_there_is_named(template: str) -> None:
    """So that the report can say what is missing."""
    with pytest.raises(Unknown):
        filled_text(template, {})


# --- bodies --------------------------------------------------------------------------------------------


def test_a_recording_is_a_wav_of_the_size_that_was_asked_for() -> None:
    """Honest about its length, so that only the size is wrong with it."""
    sent = payload(Content(wav_bytes=1000), {}, a_tone())

    assert len(sent.content) == 1000
    assert sent.content[:4] == b"RIFF"
    assert int.from_bytes(sent.content[4:8], "little") == 992
    assert sent.content_type == "audio/wav"


def test_bytes_that_are_no_text_can_be_sent() -> None:
    """As base64."""
    assert payload(Content(base64="/w=="), {}, a_tone()).content == b"\xff"


def test_a_form_is_one_that_servers_read() -> None:
    """With its fields, its file, and its end."""
    body = Content.model_validate(
        {
            "multipart": [
                {"name": "text", "value": "{a.id}"},
                {"name": "audio", "content": {"clip": True}},
            ]
        }
    )
    sent = payload(body, VALUES, a_tone())
    boundary = str(sent.content_type).rpartition("=")[2]

    assert sent.content.startswith(f"--{boundary}\r\n".encode())
    assert sent.content.endswith(f"\r\n--{boundary}--\r\n".encode())
    assert b'name="text"\r\n\r\nx\r\n' in sent.content
    assert (
        b'name="audio"; filename="clip.wav"\r\ncontent-type: audio/wav\r\n\r\nRIFF' in sent.content
    )


# --- what is shown -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://a/b.wav?sig=1&x=2 and", "https://a/b.wav?… and"),
        ('{"u": "/api/media/k?signature=1"}', '{"u": "/api/media/k?…"}'),
        ("/generate?voice=1&text=a%20b", "/generate?voice=1&text=a%20b"),
        ("Really? Yes.", "Really? Yes."),
        ("Bearer secret-token", "Bearer …"),
        ("a" * 300, "a" * 199 + "…"),
    ],
)
def test_a_report_shows_no_signature_and_no_token(text: str, shown: str) -> None:
    """Of a URL only what is before its query; and of nothing too much."""
    assert Redaction(["secret-token", None]).text(text) == shown
