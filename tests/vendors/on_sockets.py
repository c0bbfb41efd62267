"""The two vendors on real sockets, their providers, and voices and recordings that they take."""

import hashlib
import io
import wave
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from ttsorch.models import Voice, VoiceSource
from ttsorch.providers.modal import ModalProvider
from ttsorch.providers.qwen import QwenProvider
from ttsorch.testing.fake_dashscope import FakeDashScope, fake_dashscope
from ttsorch.testing.fake_modal import FakeModal, fake_modal
from ttsorch.testing.speech import tone_wav
from ttsorch.testing.vendor_ledger import VendorLedger
from ttsorch.testing.vendor_server import VendorServer


class Call(StrEnum):
    """The calls that a vendor charges for."""

    MODAL_GENERATE = "modal generate"
    MODAL_DESIGN = "modal design"
    QWEN_GENERATE = "qwen generate"
    QWEN_CLONE = "qwen clone"
    QWEN_DESIGN = "qwen design"

    @property
    def of_modal(self) -> bool:
        return self.startswith("modal")


async def hashed_speaker(text: str) -> bytes:
    """A short WAV whose samples are the hash of the text, so that no two texts sound alike."""
    file = io.BytesIO()
    with wave.open(file, "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(24_000)
        audio.writeframes(hashlib.sha256(text.encode()).digest() * 8)
    return file.getvalue()


@cache
def a_clip() -> bytes:
    """The shortest recording that DashScope enrols."""
    return tone_wav(3.0, rate=24_000)


@dataclass(frozen=True)
class Vendor:
    """A running fake, seen from its bill. ``paid`` is the server that takes the paid call."""

    fake: FakeModal | FakeDashScope
    ledger: VendorLedger
    paid: VendorServer
    environ: Mapping[str, str]

    @property
    def modal(self) -> FakeModal:
        assert isinstance(self.fake, FakeModal)
        return self.fake

    @property
    def dashscope(self) -> FakeDashScope:
        assert isinstance(self.fake, FakeDashScope)
        return self.fake

    def without_defects(self) -> bool:
        servers = [self.paid]
        if isinstance(self.fake, FakeModal):
            each = self.fake.servers
            servers = [each.submit, each.status, each.result, each.cancel, each.design]
        return not any(server.failures for server in servers)


@asynccontextmanager
async def a_vendor(call: Call) -> AsyncIterator[Vendor]:
    """The vendor of ``call``. Modal's jobs are done at the first check."""
    if call.of_modal:
        async with fake_modal(speak=hashed_speaker, checks_until_done=0) as modal:
            servers = modal.servers
            paid = servers.design if call is Call.MODAL_DESIGN else servers.submit
            yield Vendor(modal, modal.ledger, paid, modal.environ())
        return
    async with fake_dashscope(speak=hashed_speaker) as dashscope:
        yield Vendor(dashscope, dashscope.ledger, dashscope.server, dashscope.environ())


def a_provider(
    vendor: Vendor, changes: Mapping[str, str] | None = None, *, deadline: float | None = None
) -> ModalProvider | QwenProvider:
    """The vendor's provider. ``changes`` are to its environment; ``deadline`` is in seconds, for its paid
    calls."""
    settings = {**vendor.environ, **(changes or {})}
    if isinstance(vendor.fake, FakeModal):
        modal = ModalProvider.from_env(settings)
        if deadline is not None:
            modal._submit_deadline = modal._design_deadline = deadline
        return modal
    qwen = QwenProvider.from_env(settings)
    if deadline is not None:
        qwen._timeout = deadline
    return qwen


@cache
def a_short_clip() -> bytes:
    """Modal's worker takes any."""
    return tone_wav(0.05)


def a_modal_voice(owner: str | None, key: str) -> Voice:
    """An uploaded voice whose recording is at ``key``."""
    return Voice(
        id="00000000-0000-4000-8000-000000000001",
        name="Alice",
        tts_provider="modal",
        owner=owner,
        source=VoiceSource.UPLOADED,
        reference_transcript="What the clip says.",
        reference_audio_key=key,
    )


async def in_one(data: bytes) -> AsyncIterator[bytes]:
    """``data`` the way blobs are written."""
    yield data
