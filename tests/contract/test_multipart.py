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
        "multipart/form-data; boundary=c",
        "multipart/form-data; boundary*=utf-8''b",
        "multipart/form-data; boundary*0=b; boundary*=b",
        "multipart/form-data, multipart/form-data; boundary=b",
        "multipart/form-data; boundary=b; boundary=c",
        'multipart/form-data; boundary="b',
        "multipart/form-data; boundary=b b",
        "multipart/form-data boundary=b",
        'multipart/form-data; x="' + ";" * 60_000,
        "multipart/form-data" + ";" * 60_000,
        "\ud800; boundary=b",
        "multipart/form-data; boundary=\N{SNOWMAN}",
    ],
)
async def test_a_body_of_another_type_is_no_form(content_type: str) -> None:
    """Nor is one that doesn't say what separates its parts."""
    with pytest.raises(ValidationError, match="Invalid form data"):
        await _read(_part('form-data; name="a"') + END, content_type)


BIG = b"y" * 5000
A = 'form-data; name="a"'


@pytest.mark.parametrize(
    "body",
    [
        # Boundaries.
        b"--c\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--c--\r\n",
        b"-b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n-b--\r\n",
        _part(A).replace(b"--b", b"--B") + END,
        _part(A) + b"--b-",
        _part(A) + b"--b\r\n",
        _part(A) + b"--bx\r\n",
        _part(A)[:-2] + END,
        _part(A).replace(b"\r\n", b"\n") + END.replace(b"\r\n", b"\n"),
        _part(A).replace(b"\r\n", b"\r") + END,
        b"x" + _part(A) + END,
        b"\0" * 1000,
        b"\r\n--b" * 1000,
        # Headers.
        b"--b\r\n",
        b"--b\r\n\r\n" + END,
        b"--b\r\nContent-Disposition\r\n\r\nx\r\n" + END,
        b"--b\r\n: x\r\n\r\nx\r\n" + END,
        b"--b\r\n"
        + b"X: y\r\n" * 1000
        + b"Content-Disposition: form-data; name=a\r\n\r\nx\r\n"
        + END,
        b"--b\r\n" + BIG + b": x\r\n\r\nx\r\n" + END,
        b"--b\r\nX:" + b" " * 100_000 + b"\r\n\r\nx\r\n" + END,
        b"--b\r\nContent-Disposition: form-data; name=a\r\n folded\r\n\r\nx\r\n" + END,
        b"--b\r\nContent\0Disposition: form-data; name=a\r\n\r\nx\r\n" + END,
        # Names.
        _part("form-data;") + END,
        _part("form-data; =a") + END,
        _part("form-data; name*=utf-8''a") + END,
        _part("form-data; name*0=a; name*=b; name*1=c") + END,
        _part("form-data; name*99999999999999999999=a") + END,
        _part("form-data; filename=a") + END,
        _part('form-data; name="a\r\nb"') + END,
        _part('name="a"; form-data') + END,
        _part("form-data" + ";" * 3000) + END,
        _part('form-data; x="' + ";" * 3000) + END,
        _part(f"form-data; name={'a' * 5000}") + END,
        # What a part holds.
        _part(A, b"\xed\xa0\x80") + END,
        _part(A, "text".encode("utf-16")) + END,
        _part(A, b"\xc0\x80") + END,
        # Many.
        _part(A) * 33 + END,
        _part("form-data; name=f; filename=f", b"") * 100_000 + END,
    ],
    ids=lambda body: repr(body[:60]) if len(body) < 500 else f"{len(body)} bytes: {body[:40]!r}",
)
async def test_what_is_made_to_break_a_reader_is_refused(body: bytes) -> None:
    """The one sentence, whatever it is that breaks: never an error of the reader's own."""
    with pytest.raises(ValidationError) as refused:
        await _read(body)
    assert (refused.value.message, refused.value.http_status) == ("Invalid form data.", 400)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (END, {}),
        (b"--b" * 1000, {}),
        (_part("form-data; name") + END, {"": "x"}),
        (b"\r\n" + _part(A) + END, {"a": "x"}),
        (_part(A) + END + b"an epilogue" + _part(A, b"z") + END, {"a": "x"}),
        (_part(A, b"") + END, {"a": ""}),
        (_part(A, b"\r\n--\r\n--bb\r\n-b--") + END, {"a": "\r\n--\r\n--bb\r\n-b--"}),
        (_part(A, b"\0") + END, {"a": "\0"}),
        (_part("FORM-DATA; name=a") + END, {"a": "x"}),
        (_part('form-data; name="a"; name="b"') + END, {"b": "x"}),
        (_part('form-data; name="a;b"') + END, {"a;b": "x"}),
        (_part(r'form-data; name="a\"b"') + END, {'a"b': "x"}),
        (_part("form-data; name=a%22%0D%0Ab") + END, {"a%22%0D%0Ab": "x"}),
        (_part("form-data; name=a; name*=utf-8''b") + END, {"a": "x"}),
        (_part(A + "\r\nContent-Type: text/plain; charset=utf-16", b"x") + END, {"a": "x"}),
        (_part(A + "\r\nContent-Transfer-Encoding: base64", b"eA==") + END, {"a": "eA=="}),
        (
            _part(A + "\r\nContent-Type: multipart/mixed; boundary=c", b"--c--") + END,
            {"a": "--c--"},
        ),
        (_part(A) * 32 + END, {"a": "x"}),
    ],
    ids=lambda part: repr(part)[:60],
)
async def test_what_is_odd_but_a_form_is_read_as_it_stands(
    body: bytes, fields: dict[str, str]
) -> None:
    """Nothing in a part is decoded but its UTF-8 (RFC 7578, 4.7 and 5.1)."""
    assert (await _read(body)).fields == fields


async def test_a_form_cut_anywhere_is_no_form() -> None:
    """Also in the middle of its last line."""
    body = _part(A) + _part('form-data; name="f"; filename="f"', b"\xff") + END.rstrip()
    assert (await _read(body)).files == {"f": b"\xff"}
    for end in range(len(body)):
        with pytest.raises(ValidationError, match="Invalid form data"):
            await _read(body[:end])


@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_bytes_break_the_reader(noise: bytes, place: int) -> None:
    """Read or refused, wherever the noise is."""
    whole = _part(A) + _part('form-data; name="f"; filename="f"', b"RIFF") + END
    for body in (noise, whole[:place] + noise + whole[place:], whole[:place] + noise):
        try:
            anyio.run(_read, body)
        except ValidationError:
            continue


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
