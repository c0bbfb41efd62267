"""What an answer has to be, beyond its JSON: form, bytes, and the order of polls."""

from collections.abc import Sequence

import anyio
import pytest

from ttsorch.conformance.client import Answer
from ttsorch.conformance.polling import Pace, Polled, poll_until
from ttsorch.conformance.schema import Expectation, Poll
from ttsorch.conformance.templates import Unknown
from ttsorch.conformance.verdicts import Finding, judge
from ttsorch.testing.speech import tone_wav

JSON = {"content-type": "application/json"}


def answer(content: bytes, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named or JSON, content, "http://a/")


def wrong(given: Answer, **expected: object) -> list[str]:
    """What the findings are about."""
    found = judge(given, Expectation.model_validate(expected), {}, method="GET")
    return [finding.about for finding in found]


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (tone_wav(), "audio/wav"),
        (tone_wav(), "audio/x-wav; codecs=1"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90", "audio/mpeg"),
        (b"OggS\0", "audio/ogg"),
        (b"fLaC\0", "audio/flac"),
        (b"\0\0\0\x20ftypM4A ", "audio/mp4"),
    ],
)
def test_audio_is_of_the_type_that_it_begins_like(content: bytes, content_type: str) -> None:
    """By any of the names that a browser knows for it; and of no other."""
    right = answer(content, content_type=content_type, content_length=str(len(content)))
    lying = answer(content, content_type="audio/midi", content_length=str(len(content)))
    expected = {"status": 200, "any_form": True, "content": {"audio": True}}

    assert wrong(right, **expected) == []
    assert wrong(lying, **expected) == ["header content-type"]


def test_audio_has_its_length() -> None:
    """A player shows no time without it."""
    chunked = answer(tone_wav(), content_type="audio/wav")

    assert wrong(chunked, status=200, any_form=True, content={"audio": True}) == [
        "header content-length"
    ]


@pytest.mark.parametrize(
    ("content", "about"),
    [
        (b'{"detail": "No."}', []),
        (b'{"detail": "No.", "code": "no", "category": "validation", "more": 1}', []),
        (b'{"detail": ""}', ["detail"]),
        (b'{"detail": null}', ["detail"]),
        (b'{"detail": ["No."]}', ["detail"]),
        (b'{"message": "No."}', ["detail"]),
        (b'["No."]', ["body"]),
        (b"No.", ["body"]),
        (b"", ["body"]),
        (b'{"detail": "No.", "code": 7}', ["code"]),
        (b'{"detail": "No.", "category": "other"}', ["category"]),
        (b'{"detail": "No.", "request_id": "another"}', ["request_id"]),
    ],
)
def test_a_failure_is_one_sentence(content: bytes, about: list[str]) -> None:
    """In JSON; what else it says has to be right (C2)."""
    assert wrong(answer(content, 404), status=404) == about


def test_a_success_is_json_even_where_nobody_looks_closer() -> None:
    """Clients treat a success without JSON as a failure (C1)."""
    assert wrong(answer(b"", content_type="text/plain"), status=200) == [
        "header content-type",
        "body",
    ]


def test_bytes_that_nobody_saved_can_not_be_compared() -> None:
    """It is no difference of this answer's."""
    expected = Expectation.model_validate({"status": 200, "content": {"same_as": "a.audio"}})
    with pytest.raises(Unknown, match=r"^a\.audio$"):
        judge(answer(b""), expected, {}, method="GET")


# --- polls ---------------------------------------------------------------------------------------------


def polled(*bodies: str, provider: str = "fake", **poll: object) -> Polled:
    """What comes of these answers, one after the other."""
    waiting = list(bodies)

    async def ask() -> Answer:
        status, _, count = waiting.pop(0).partition(" ")
        counted = f', "provider_poll_count": {count}' if count else ""
        return answer(f'{{"status": "{status}", "provider": "{provider}"{counted}}}'.encode())

    def nothing(given: Answer) -> Sequence[Finding]:
        return []

    async def go() -> Polled:
        known = Poll.model_validate({"until": ["completed"], "counted": 0, **poll})
        return await poll_until(known, Pace(30.0, 0.0), {}, ask=ask, judge=nothing)

    return anyio.run(go)


@pytest.mark.parametrize(
    "bodies",
    [
        ("completed",),
        ("completed 0",),
        ("processing 1", "completed 1"),
        ("processing 1", "completed 2"),
        ("pending 1", "processing 2", "completed 3"),
        ("processing", "completed"),
    ],
)
def test_polls_that_go_forward_are_right(bodies: tuple[str, ...]) -> None:
    """One that finds the task ended may have been counted or not."""
    assert polled(*bodies).findings == []


@pytest.mark.parametrize(
    ("bodies", "about"),
    [
        (("processing 0",), "provider_poll_count"),
        (("processing 1", "processing 1"), "provider_poll_count"),
        (("processing 1", "processing 3"), "provider_poll_count"),
        (("processing 1", "completed 3"), "provider_poll_count"),
        (("processing 2",), "provider_poll_count"),
        (("processing 1", "pending 2"), "status"),
        (("processing 1", "failed 2"), "status"),
        (("nonsense 1",), "status"),
    ],
)
def test_polls_that_do_not_are_wrong(bodies: tuple[str, ...], about: str) -> None:
    """And end the polling there."""
    [finding] = polled(*bodies).findings

    assert finding.about == about


def test_a_direct_provider_counts_as_it_likes() -> None:
    """4.1 is about jobs; but no poll counts twice."""
    assert polled("processing 0", "processing 0", "completed 1", provider="qwen").findings == []
    assert len(polled("processing 2", provider="qwen").findings) == 1


def test_what_was_told_before_the_first_poll_binds_it() -> None:
    """4.5: never a step back."""
    [finding] = polled("pending 1", after="processing").findings

    assert (finding.about, finding.expected) == ("status", "nothing before processing")


def test_a_failed_poll_says_what_the_server_says() -> None:
    """The word, at least."""
    assert polled("cancelled 1").findings[0].got == "cancelled"
