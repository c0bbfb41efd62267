"""A stand-in for DashScope (Alibaba Model Studio) on a real socket: Qwen-TTS, Qwen-Audio-TTS and CosyVoice
over HTTP.

It keeps the vendor's rules, has its failures on switches, and a ledger of what it really did. It doesn't
stream (``X-DashScope-SSE``), fetches nothing, and makes WAV whatever format is asked for. To serve one::

    python -m ttsorch.testing.fake_dashscope --port 8201 --engine
"""

import argparse
import hmac
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from ttsorch.models import JsonValue
from ttsorch.testing._dashscope import cosyvoice
from ttsorch.testing._dashscope.results import PATH as RESULTS_PATH
from ttsorch.testing._dashscope.results import ResultStore
from ttsorch.testing._dashscope.speech import QWEN_PATH, SPEECH_PATH, Synthesizer
from ttsorch.testing._dashscope.voices import CLONING, DESIGNING, Account, EnrolledVoice, QwenVoices
from ttsorch.testing._dashscope.wire import (
    DashScopeLedger,
    Failure,
    Refused,
    Switches,
    Throttle,
    body_of,
    raise_what_is_due,
    refused,
    section,
    succeeded,
)
from ttsorch.testing.fake_command import serve_until_signalled
from ttsorch.testing.speakers import Speaker, tone_speaker
from ttsorch.testing.vendor_server import VendorReply, VendorRequest, VendorServer, serving

__all__ = [
    "DashScopeLedger",
    "EnrolledVoice",
    "Failure",
    "FakeDashScope",
    "Switches",
    "Throttle",
    "fake_dashscope",
]

VOICES_PATH = "/api/v1/services/audio/tts/customization"


def _now() -> datetime:
    return datetime.now(UTC)


class FakeDashScope:
    """One running fake, with one account. ``server`` is its socket, where the wire can be broken.

    ``voices`` are the account's own voices by id; entries may be put in or taken out.
    """

    def __init__(
        self,
        api_key: str,
        speak: Speaker,
        *,
        clock: Callable[[], datetime],
        max_chars: int,
        max_voices: int,
    ) -> None:
        self.api_key = api_key
        self.ledger = DashScopeLedger()
        self.switches = Switches()
        account = Account(speak, self.ledger, self.switches, clock, max_voices)
        self.voices = account.voices
        self._results = ResultStore(self.ledger, self.switches, clock)
        self._synthesizer = Synthesizer(account, self._results, speak, max_chars)
        self._qwen_voices = QwenVoices(account)
        self._cosy_voices = cosyvoice.CosyVoices(account)
        self._server: VendorServer | None = None

    @property
    def server(self) -> VendorServer:
        """The socket's side: ``faults``, ``requests``, ``connections``."""
        assert self._server is not None
        return self._server

    @property
    def url(self) -> str:
        """The origin, without ``/api/v1``."""
        return self.server.url

    def environ(self) -> dict[str, str]:
        """The settings with which ttsorch talks to this fake."""
        return {
            "DASHSCOPE_API_KEY": self.api_key,
            "DASHSCOPE_BASE_URL": self.url,
            "TTSORCH_RESULT_HOSTS": self._results.host,
        }

    def at(self, server: VendorServer) -> None:
        """Take the address that results are served from."""
        self._server = server
        self._results.host = server.url.partition("://")[2]

    async def answer(self, request: VendorRequest) -> VendorReply:
        """What the vendor says to one request."""
        if request.path.startswith(RESULTS_PATH):
            return self._results.answer(request)
        try:
            output, usage = await self._act(request)
        except Refused as refusal:
            return refused(refusal)
        except Exception as error:  # noqa: BLE001  # a speaker's; kept where the server keeps its own
            self.server.failures.append(error)
            return refused(Refused(500, "InternalError.Algo", "An internal error occurred."))
        return succeeded(output, usage, self.switches)

    async def _act(self, request: VendorRequest) -> tuple[JsonValue, JsonValue]:
        if request.path not in (QWEN_PATH, SPEECH_PATH, VOICES_PATH):
            raise Refused(404, "NotFound", "No such service.")
        if request.method != "POST":
            raise Refused(405, "InvalidParameter", "The request method is not supported.")
        self._check_headers(request.headers)
        body = body_of(request)
        makes_voice = request.path == VOICES_PATH and _makes_voice(body)
        works = makes_voice or request.path != VOICES_PATH
        self.ledger.submits += works
        raise_what_is_due(self.switches, makes_voice=makes_voice)
        done = await self._work(request.path, body)
        if works and self.switches.fail_after_work:
            raise Refused(*self.switches.fail_after_work.popleft())
        return done

    async def _work(self, path: str, body: Mapping[str, object]) -> tuple[JsonValue, JsonValue]:
        model = body.get("model")
        if path != VOICES_PATH:
            return await self._synthesizer.synthesize(path, body)
        if model == cosyvoice.MODEL:
            return await self._cosy_voices.act(body)
        if isinstance(model, str) and model in (CLONING, DESIGNING):
            return await self._qwen_voices.act(model, body)
        raise Refused(404, "ModelNotFound", "The model does not exist.")

    def _check_headers(self, headers: Mapping[str, str]) -> None:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not hmac.compare_digest(key.encode(), self.api_key.encode()):
            raise Refused(401, "InvalidApiKey", "Invalid API-key provided.")
        if "x-dashscope-async" in headers:
            raise Refused(
                403, "AccessDenied", "current user api does not support asynchronous calls."
            )


def _makes_voice(body: Mapping[str, object]) -> bool:
    return section(body, "input").get("action") in ("create", "create_voice")


@asynccontextmanager
async def fake_dashscope(
    *,
    api_key: str = "sk-fake-dashscope",
    speak: Speaker = tone_speaker,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Callable[[], datetime] = _now,
    max_chars: int = 600,
    max_voices: int = 1000,
) -> AsyncIterator[FakeDashScope]:
    """Serve a fake until the block is left.

    Args:
        api_key: the one key that is let in.
        speak: what a synthesis sounds like. A failure in it is the vendor's: HTTP 500, nothing billed.
        port: 0 takes a free one.
        clock: decides when results expire.
        max_chars: the longest text, in code points (600, as documented in 2026).
        max_voices: the account's voice quota.

    Raises:
        OSError: the port can't be had.
    """
    fake = FakeDashScope(api_key, speak, clock=clock, max_chars=max_chars, max_voices=max_voices)
    async with serving(fake.answer, host=host, port=port) as server:
        fake.at(server)
        yield fake


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; standard output says how to reach it, for a shell to read. The exit
    status."""
    parser = argparse.ArgumentParser(
        prog="python -m ttsorch.testing.fake_dashscope",
        description="Serve a stand-in for DashScope, the API of Qwen-TTS.",
    )
    parser.add_argument("--port", type=int, default=8201, help="0 takes a free one (default: 8201)")
    parser.add_argument("--api-key", default="sk-fake-dashscope", help="the key that is let in")
    parser.add_argument(
        "--engine", action="store_true", help="speak with the embedded engine, not in tones"
    )
    chosen = parser.parse_args(arguments)
    opening = partial(fake_dashscope, api_key=chosen.api_key, port=chosen.port)
    return serve_until_signalled(opening, engine=chosen.engine)


if __name__ == "__main__":
    sys.exit(main())
