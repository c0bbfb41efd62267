"""Runs moto's S3 on a free loopback port until its standard input ends; prints the port.

In a process of its own, so that its memory and its warnings are not those of the tests. With ``--google`` it
is spoken to in the dialect of Google Cloud Storage, whose XML API has S3's requests with header fields of
other names (Google, "XML API reference" and "Interoperability"). That is no emulator: it shows that the
``gs`` half of the store says what Google documents, and not how Google answers.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias
from urllib.parse import unquote

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
Application: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]

_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=google/20260101/us-east-1/s3/aws4_request,"
    " SignedHeaders=host, Signature=0"
)


def speaking_google(application: Application) -> Application:
    """S3 with Google's header fields, preconditions and 404 for what can't be deleted."""

    def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        for name in [name for name in environ if name.startswith("HTTP_X_GOOG_")]:
            environ[name.replace("HTTP_X_GOOG_", "HTTP_X_AMZ_")] = environ.pop(name)
        if environ.pop("HTTP_X_AMZ_IF_GENERATION_MATCH", None) == "0":
            environ["HTTP_IF_NONE_MATCH"] = "*"
        environ["HTTP_AUTHORIZATION"] = _SIGNED
        # Google's client escapes more of a path than S3's, and moto compares it as it came.
        path, question_mark, query = environ["RAW_URI"].partition("?")
        environ["RAW_URI"] = environ["REQUEST_URI"] = unquote(path) + question_mark + query

        def start(status: str, headers: list[tuple[str, str]], *rest: object) -> object:
            told = [(name.lower().replace("x-amz-", "x-goog-"), value) for name, value in headers]
            told.append(("x-goog-generation", "1"))
            return start_response(status, told, *rest)

        if environ["REQUEST_METHOD"] == "DELETE" and not environ["QUERY_STRING"]:
            environ["REQUEST_METHOD"] = "HEAD"
            found: list[str] = []
            b"".join(application(dict(environ), lambda status, *_: found.append(status)))
            if found[0].startswith("404"):
                start("404 Not Found", [("content-length", "0")])
                return []
            environ["REQUEST_METHOD"] = "DELETE"
        return application(environ, start)

    return answer


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    s3: Application = DomainDispatcherApplication(create_backend_app)
    application = speaking_google(s3) if "--google" in sys.argv else s3
    server = make_server("127.0.0.1", 0, application, threaded=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()
