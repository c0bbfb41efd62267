"""Fakes that make voices: one as Qwen does, and one as Modal does.

Every voice that one of them makes is in its ledger, with the key of the attempt that asked for it. Both pass
:class:`ttsorch.testing.provider.ProviderSuite` like any real provider.
"""

from dataclasses import replace

from ttsorch.models import (
    Accepted,
    Attempt,
    Capabilities,
    CheckResult,
    Clip,
    JsonValue,
    OnUnknown,
    ProviderVoice,
    Ready,
    Ticket,
    Voice,
)
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider, Ledger, MadeVoice

CASTING = Capabilities(max_text_chars=10_000, cloning=True, design=True)


class FakeCastingProvider(FakeDirectProvider):
    """A direct provider that keeps the voices it clones and designs, each by one paid call."""

    def __init__(
        self,
        name: str = "fake",
        *,
        fetchable: bool = False,
        audio: bytes | None = None,
        on_unknown: OnUnknown = OnUnknown.FAIL,
        capabilities: Capabilities = CASTING,
    ) -> None:
        super().__init__(
            name,
            fetchable=fetchable,
            audio=audio,
            on_unknown=on_unknown,
            capabilities=capabilities,
        )

    async def clone(self, draft: Voice, clip: Clip, attempt: Attempt) -> Ready:
        self.ledger.clips.append(clip)
        await self._take("clone", attempt)
        return Ready(voice=_kept(self.ledger, attempt.key), receipt=_receipt(attempt.key))

    async def design(self, draft: Voice, attempt: Attempt) -> Ready:
        await self._take("design", attempt)
        voice = _kept(self.ledger, attempt.key)
        return replace(self._spoken(attempt), voice=voice, receipt=_receipt(attempt.key))


class FakeDesigningJobProvider(FakeJobProvider):
    """A job provider for which a voice is its recording, sent along with every request (a clone makes no
    call), and whose designs take so long that they come by ticket."""

    def __init__(
        self,
        name: str = "fake",
        *,
        checks_until_ready: int = 1,
        audio: bytes | None = None,
        clip_formats: tuple[str, ...] = (),
    ) -> None:
        super().__init__(
            name,
            checks_until_ready=checks_until_ready,
            audio=audio,
            capabilities=replace(
                CASTING, can_cancel=True, sends_clip=True, clip_formats=clip_formats
            ),
        )

    async def design(self, draft: Voice, attempt: Attempt) -> Accepted:
        return await self._take("design", attempt)

    async def check(self, ticket: Ticket) -> CheckResult:
        answer = await super().check(ticket)
        key = self.jobs[str(ticket["id"])].key
        if isinstance(answer, Ready) and _made(self.ledger, key):
            return replace(answer, voice=_kept(self.ledger, key), receipt=_receipt(key))
        return answer


def _made(ledger: Ledger, key: str) -> list[MadeVoice]:
    return [voice for voice in ledger.voices if voice.key == key]


def _kept(ledger: Ledger, key: str) -> ProviderVoice:
    """The newest voice that was made for ``key``, as its provider knows it."""
    made = _made(ledger, key)[-1]
    return ProviderVoice(made.id, target_model="model-1", kind=made.kind)


def _receipt(key: str) -> dict[str, JsonValue]:
    return {"request_id": f"request of {key}", "usage": {"voices": 1}}
