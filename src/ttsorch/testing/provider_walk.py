"""One job of a provider, step by step to its audio, as the suite takes it."""

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import pytest

from ttsorch.models import Accepted, Attempt, AudioSource, JsonValue, Ready, Running, Ticket
from ttsorch.protocols import Provider

#: Makes the vendor finish the job of a ticket: a back door that bypasses the provider under test.
Settle: TypeAlias = Callable[[Ticket], Awaitable[None]]

# How often a settled job may still be reported as running.
_CHECKS = 20

_AUDIO_BEGINNINGS = (
    re.compile(rb"RIFF....WAVE", re.DOTALL),
    re.compile(rb"ID3|\xff[\xe2-\xff]"),
    re.compile(rb"OggS"),
    re.compile(rb"fLaC"),
    re.compile(rb"....ftyp", re.DOTALL),
)


def attempt() -> Attempt:
    return Attempt(key=str(uuid.uuid4()))


def through_json(payload: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    stored: Mapping[str, JsonValue] = json.loads(json.dumps(payload, allow_nan=False))
    return stored


async def finish(provider: Provider, submitted: Accepted | Ready, settle: Settle) -> Ready:
    """The finished result; a job is settled first and then checked until it says so."""
    if isinstance(submitted, Ready):
        return submitted
    await settle(submitted.ticket)
    for _ in range(_CHECKS):
        answer = await provider.check(through_json(submitted.ticket))
        if not isinstance(answer, Running):
            assert isinstance(answer, Ready), f"the settled job failed: {answer.error}"
            return answer
    pytest.fail(f"the settled job was still running after {_CHECKS} checks")


async def drop(result: Accepted | Ready) -> None:
    """Open and close audio in hand: whoever gets it has to."""
    if isinstance(result, Ready) and result.audio is not None:
        async with result.audio:
            pass


async def read(source: AudioSource) -> bytes:
    async with source as stream:
        received = b"".join([chunk async for chunk in stream.chunks])
        assert stream.length in (None, len(received))
    return received


def assert_audio(received: bytes) -> None:
    assert any(beginning.match(received) for beginning in _AUDIO_BEGINNINGS), received[:16]
