"""The vendor's own voices: what is listed, and what isn't needed to be."""

import uuid

import pytest

from tests.providers.dashscope_recordings import Vendor, hello, qwen, qwen_voice
from ttsorch.models import Attempt
from ttsorch.providers._qwen.system_voices import system_voices

pytestmark = pytest.mark.anyio


async def test_listed_voices_can_be_spoken_with() -> None:
    """Each one is bound to the configured model and passes the check."""
    provider = qwen(Vendor())
    voices = await provider.voices()
    assert len(voices) == 25
    for voice in voices:
        provider.check_request(hello(voice))
        assert voice.provider_voice_id == voice.name


async def test_an_instruct_model_lists_its_own_voices() -> None:
    """The two models share some voices and not others."""
    provider = qwen(Vendor(), system_model="qwen3-tts-instruct-flash-2026-01-26")
    names = {voice.name for voice in await provider.voices()}
    assert {"Cherry", "Eldric Sage"} <= names
    assert "Jennifer" not in names


async def test_ids_never_change() -> None:
    """They are in rows: the same on every machine, and for every snapshot of the model."""
    voices = {voice.name: voice.id for voice in system_voices("qwen3-tts-flash")}
    assert voices["Cherry"] == "c851faba-ae92-5717-975b-5199342a4629"
    newer = {voice.name: voice.id for voice in system_voices("qwen3-tts-flash-2025-11-27")}
    assert newer == voices
    assert uuid.UUID(voices["Cherry"]).version == 5


async def test_another_family_lists_none() -> None:
    """Its voices have other names, which aren't known here."""
    assert system_voices("cosyvoice-v3-plus") == ()


async def test_a_name_that_is_not_listed_is_sent_as_it_is() -> None:
    """The vendor adds voices without notice."""
    vendor = Vendor()
    request = hello(qwen_voice("Brand New"))
    provider = qwen(vendor)
    provider.check_request(request)
    await provider.submit(request, Attempt("key"))
    assert '"voice":"Brand New"' in vendor.requests[0].content.decode()
