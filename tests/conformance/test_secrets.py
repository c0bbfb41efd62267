"""What goes where, and what is shown: tokens, signatures."""

import json

import anyio
import anyio.to_thread
import pytest

from tests.conformance.breaking import Exchange, Mutant, in_front
from tests.conformance.serving import TOKENS, listening, run, serving
from ttsorch.adapters.asgi import Message, Receive, Scope, Send
from ttsorch.conformance.client import NoAnswer
from ttsorch.testing.fake_voices import FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeJobProvider

# --- secrets -------------------------------------------------------------------------------------------


def test_no_token_goes_where_a_server_sends_us() -> None:
    """A link of the server's may lead anywhere: it is opened by nobody, or with nobody's token."""
    seen: list[tuple[str, str]] = []

    def listen(x: Exchange) -> None:
        seen.append((x.path, x.token))

    with serving(
        FakeDesigningJobProvider(),
        in_front(Mutant("", "", "GET|PUT /api/(media|uploads)/.*", listen)),
    ) as url:
        run(url)

    assert {path.split("/")[2] for path, _ in seen} == {"media", "uploads"}
    assert {token for _, token in seen} <= {"", "Bearer ttsorch-contract-test-nobodys-token"}


def test_a_report_holds_no_secret() -> None:
    """Whatever the server repeats: tokens, signatures."""

    def tell(x: Exchange) -> None:
        if x.path not in ("/api/languages", "/api/voices", "/api/health"):
            link = "https://store.example/a.wav?X-Amz-Signature=0123456789abcdef"
            x.answer(418, {"detail": f"{x.token} {link} /api/media/a?signature=0123456789abcdef"})

    with serving(
        FakeJobProvider(), in_front(Mutant("", "", "GET|POST|DELETE|PUT /api/.*", tell))
    ) as url:
        report = run(url)

    shown = json.dumps(report.to_record()) + repr(report) + repr(TOKENS)
    assert not report.passed
    assert "https://store.example/a.wav?…" in repr(report)
    for secret in ("token-of-ann", "token-of-bob", "0123456789abcdef", "Amz-Signature"):
        assert secret not in shown


def test_what_went_wrong_on_the_wire_names_no_url(caplog: pytest.LogCaptureFixture) -> None:
    """Nor does any log line."""
    caplog.set_level("DEBUG")

    async def go() -> None:
        from ttsorch.conformance.client import Client

        async with listening(_breaks_off) as url, Client(5.0) as client:
            with pytest.raises(NoAnswer) as caught:
                await client.ask("GET", f"{url}/a?signature=hush", {"authorization": "Bearer hush"})
        assert str(caught.value) == "the answer broke off, or isn't HTTP"
        assert caught.value.__context__ is None

    anyio.run(go)
    assert "hush" not in caplog.text


async def _breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
    started: Message = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-length", b"9")],
    }
    await send(started)
    await send({"type": "http.response.body", "body": b"x", "more_body": True})
    raise OSError("gone")
