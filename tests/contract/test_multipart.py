"""Multipart forms (RFC 7578): what a browser sends is read, what is no form is refused, nothing gets out of
hand."""

from collections.abc import Mapping
from email.message import EmailMessage

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.world import in_chunks
from ttsorch.contract import HttpRequest
from ttsorch.contract.multipart import MAX_FORM_BYTES, Form, read_form
from ttsorch.errors import ValidationError

pytestmark = pytest.mark.anyio


async def _read(body: bytes, content_type: str = "multipart/form-data; boundary=b") -> Form:
    return await read_form(
        HttpRequest(
            method="POST",
            path="/api/voices/design",
            query="",
            headers={"content-type": content_type, "content-length": str(len(body))},
            body=in_chunks(body),
            authenticate=_nobody,
        )
    )


async def _nobody() -> str | None:
    return None


def _part(disposition: str, content: bytes = b"x") -> bytes:
    return b"--b\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"


END = b"--b--\r\n"


def _from_httpx(fields: Mapping[str, str], files: Mapping[str, bytes]) -> tuple[bytes, str]:
    request = httpx.Request(
        "POST",
        "http://test",
        data=dict(fields),
        files={name: ("clip.wav", content) for name, content in files.items()},
    )
    return request.read(), request.headers["content-type"]


NAMES = st.text("abcdefgh_", min_size=1, max_size=8)


@given(
    fields=st.dictionaries(
        NAMES, st.text(st.characters(exclude_categories=["Cs"]), max_size=50), max_size=8
    ),
    files=st.dictionaries(NAMES, st.binary(max_size=200), min_size=1, max_size=8),
)
def test_what_a_client_library_writes_is_read_back(
    fields: dict[str, str], files: dict[str, bytes]
) -> None:
    """Every text and every byte, line breaks and boundaries in the content included."""
    body, content_type = _from_httpx(fields, files)
    form = anyio.run(_read, body, content_type)
    assert form.fields == fields
    assert form.files == files


async def test_the_first_of_a_repeated_name_counts() -> None:
    """As ``FormData.get`` has it."""
    body = _part('form-data; name="a"', b"1") + _part('form-data; name="a"', b"2") + END
    assert (await _read(body)).fields == {"a": "1"}


async def test_a_file_name_in_any_script_is_a_file() -> None:
    """The name itself is nobody's business."""
    body = _part('form-data; name="audio"; filename="聲音.wav"', b"RIFF") + END
    assert (await _read(body)).files == {"audio": b"RIFF"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form",
        _part('form-data; name="a"'),
        _part('form-data; name="a"') + b"--b",
        _part("form-data") + END,
        _part('attachment; name="a"') + END,
        b"--b\r\n\r\nno headers\r\n" + END,
        _part('form-data; name="a"', b"\xff") + END,
        b"--b\r\n" + b"X: y\r\n" * 1000 + b"\r\n" + END,
        b"--b\r\nX: " + b"y" * 100_000 + b"\r\n\r\n" + END,
        _part('form-data; name="a"') * 1000 + END,
    ],
    ids=str,
)
async def test_what_is_no_form_is_refused(body: bytes) -> None:
    """Cut short, without names, not text, or made to cost time."""
    with pytest.raises(ValidationError) as refused:
        await _read(body)
    assert (refused.value.message, refused.value.http_status) == ("Invalid form data.", 400)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=b",
        f"multipart/form-data; boundary={'b' * 1000}",
        "multipart/form-data; boundary=\N{SNOWMAN}",
    ],
)
async def test_a_body_of_another_type_is_no_form(content_type: str) -> None:
    """Nor is one that doesn't say what separates its parts."""
    with pytest.raises(ValidationError, match="Invalid form data"):
        await _read(_part('form-data; name="a"') + END, content_type)


async def test_a_form_that_is_too_large_is_refused() -> None:
    """413, like any other body."""
    with pytest.raises(ValidationError) as refused:
        await _read(b"x" * (MAX_FORM_BYTES + 1))
    assert refused.value.http_status == 413


async def test_the_standard_library_agrees() -> None:
    """An independent writer: Python's own mail package."""
    message = EmailMessage()
    message["Content-Type"] = 'multipart/form-data; boundary="b"'
    body = _part('form-data; name="text"', "Grüße".encode()) + END
    assert (await _read(body, str(message["Content-Type"]))).fields == {"text": "Grüße"}
