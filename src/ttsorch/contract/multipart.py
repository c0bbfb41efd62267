"""Reading a multipart form (RFC 7578): bounded, and off the event loop, since it is walked byte by byte."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anyio import to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ttsorch.capabilities import MAX_CLIP_BYTES
from ttsorch.contract.bodies import read_body
from ttsorch.contract.exchange import HttpRequest
from ttsorch.errors import ValidationError

#: A recording of the largest size, and room for the fields beside it.
MAX_FORM_BYTES = MAX_CLIP_BYTES + 1024 * 1024
#: More than any form of the contract has; each part costs calls, however small it is.
_MAX_PARTS = 32


@dataclass(frozen=True, slots=True)
class Form:
    """What a form holds: ``fields`` are text, ``files`` are parts that came with a file name. Of a repeated
    name the first one counts."""

    fields: Mapping[str, str]
    files: Mapping[str, bytes]


async def read_form(request: HttpRequest) -> Form:
    """The form in the body.

    Raises:
        ValidationError: 400 ``Invalid form data.``; 413 for more than 11 MiB; 408 for what takes longer than
            30 seconds to arrive.
        ClientGone: the client left.
    """
    content = await read_body(request, MAX_FORM_BYTES)
    try:
        boundary = _boundary(request.headers.get("content-type", ""))
        return await to_thread.run_sync(_parse, content, boundary)
    except (FormParserError, UnicodeError):
        raise ValidationError("Invalid form data.", code="invalid_form") from None


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise FormParserError("not a form")
    return options[b"boundary"]


def _parse(content: bytes, boundary: bytes) -> Form:
    reading = _Reading()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": reading.begin,
            "on_header_field": reading.header_field,
            "on_header_value": reading.header_value,
            "on_header_end": reading.header_end,
            "on_part_data": reading.data,
            "on_part_end": reading.end,
            "on_end": reading.finish,
        },
    )
    parser.write(content)
    parser.finalize()
    # The parser is content with a form that was cut short.
    if not reading.is_whole:
        raise FormParserError("the closing boundary is missing")
    return Form(reading.fields, reading.files)


@dataclass(slots=True)
class _Reading:
    """What the parser has told so far."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    is_whole: bool = False
    _parts: int = 0
    _name: bytes = b""
    _value: bytes = b""
    _disposition: bytes = b""
    _content: bytearray = field(default_factory=bytearray)

    def begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise FormParserError("too many parts")
        self._disposition, self._content = b"", bytearray()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def end(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise FormParserError("a part without a name")
        name = options[b"name"].decode("latin-1")
        if b"filename" in options:
            self.files.setdefault(name, bytes(self._content))
        else:
            self.fields.setdefault(name, self._content.decode())

    def finish(self) -> None:
        self.is_whole = True
