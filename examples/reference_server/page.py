"""The page: its files as they were at the start, in addresses that change with them."""

import hashlib
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_STATIC = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
#: For a year, and without asking: what is at such an address never changes.
_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}
#: What the page imports where its library for waveforms isn't installed.
_NO_LIBRARY = b"export default null;\n"


class Page:
    """Files are read once, and the hash of all of them is a part of each one's address. A browser so keeps
    them as long as it likes and never mixes two versions; only the index, which names them, is asked about
    again with each visit."""

    def __init__(self, library: Path, *, wants_tokens: bool) -> None:
        files = {
            file.name: file.read_bytes()
            for file in sorted(_STATIC.iterdir())
            if file.suffix in _TYPES
        }
        index = Path(_STATIC, "index.html").read_bytes()
        files["wavesurfer.js"] = library.read_bytes() if library.is_file() else _NO_LIBRARY
        version = _digest(*files.values())
        index = index.replace(b'"/static/', f'"/static/{version}/'.encode())
        if wants_tokens:
            index = index.replace(
                b'name="sign-in" content="none"', b'name="sign-in" content="token"'
            )
        self._index = index
        self._etag = f'"{_digest(index)}"'
        self._files = files
        self._version = version

    def routes(self) -> list[Route]:
        return [
            Route("/", self._begin),
            # Where the contract's redirect_url leads (R10).
            Route("/generate", self._begin),
            Route("/static/{version}/{name}", self._file),
        ]

    async def _begin(self, request: Request) -> Response:
        headers = {"etag": self._etag}
        if request.headers.get("if-none-match", "").removeprefix("W/") == self._etag:
            return Response(status_code=304, headers=headers)
        return Response(self._index, media_type="text/html", headers=headers)

    async def _file(self, request: Request) -> Response:
        # Of another version there is nothing: a module of today among those of yesterday would be a riddle.
        name = request.path_params["name"]
        if request.path_params["version"] != self._version or name not in self._files:
            raise HTTPException(404)
        return Response(self._files[name], media_type=_TYPES[Path(name).suffix], headers=_FOR_EVER)


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
