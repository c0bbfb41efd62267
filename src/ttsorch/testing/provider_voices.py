"""The part of the provider's suite about voices: the built-in ones, and those that it makes."""

import uuid
from collections.abc import Sequence

from ttsorch.models import Accepted, Clip, Ready, Voice, VoiceSource
from ttsorch.protocols import Provider, VoiceCatalog, VoiceCloning, VoiceDesign
from ttsorch.testing.provider_walk import (
    Settle,
    assert_audio,
    attempt,
    drop,
    finish,
    read,
    through_json,
)


class VoiceCases:
    """Of those that it makes, only what the provider promises is asked."""

    async def test_built_in_voices_are_stable(self, provider: Provider) -> None:
        """Two listings are equal: the same voices, in the same order, under the same ids."""
        assert await _catalog(provider) == await _catalog(provider)

    async def test_built_in_voices_belong_to_the_provider(self, provider: Provider) -> None:
        """Built-in voices have unique uuid5 ids, a name, no owner, and this provider's name."""
        voices = await _catalog(provider)

        assert len({voice.id for voice in voices}) == len(voices)
        for voice in voices:
            assert str(uuid.UUID(voice.id)) == voice.id
            assert uuid.UUID(voice.id).version == 5
            assert voice.owner is None
            assert voice.source is VoiceSource.BUILTIN
            assert voice.tts_provider == provider.name
            assert voice.name.strip()

    async def test_promised_powers_are_there(self, provider: Provider) -> None:
        """Who promises to clone can, or sends the recording along; who promises to design can."""
        capabilities = provider.capabilities

        if capabilities.cloning:
            assert capabilities.sends_clip or isinstance(provider, VoiceCloning)
        if capabilities.design:
            assert isinstance(provider, VoiceDesign)

    async def test_a_clone_is_a_voice_and_nothing_else(
        self, provider: Provider, draft_voice: Voice, voice_clip: Clip
    ) -> None:
        """A recording becomes a voice with an id, without any speech."""
        if not (isinstance(provider, VoiceCloning) and provider.capabilities.cloning):
            return
        ready = await provider.clone(draft_voice, voice_clip, attempt())

        assert isinstance(ready, Ready)
        assert ready.voice is not None
        _assert_made(ready)
        assert ready.envelope is None
        assert ready.audio is None

    async def test_a_design_answers_like_a_submit(
        self, provider: Provider, draft_voice: Voice
    ) -> None:
        """With a ticket that survives the database, or with the preview, however direct it is."""
        if not (isinstance(provider, VoiceDesign) and provider.capabilities.design):
            return
        result = await provider.design(draft_voice, attempt())

        assert isinstance(result, Accepted | Ready)
        if isinstance(result, Accepted):
            assert through_json(result.ticket) == result.ticket
        await drop(result)

    async def test_the_preview_of_a_design_arrives(
        self, provider: Provider, draft_voice: Voice, settle: Settle
    ) -> None:
        """A description becomes a preview, and a voice with an id where the provider keeps one."""
        if not (isinstance(provider, VoiceDesign) and provider.capabilities.design):
            return
        ready = await finish(provider, await provider.design(draft_voice, attempt()), settle)

        _assert_made(ready)
        assert ready.envelope is not None or ready.audio is not None
        if ready.envelope is not None:
            assert through_json(ready.envelope) == ready.envelope
            assert_audio(await read(provider.fetch(through_json(ready.envelope))))
        if ready.audio is not None:
            assert_audio(await read(ready.audio))


async def _catalog(provider: Provider) -> Sequence[Voice]:
    return await provider.voices() if isinstance(provider, VoiceCatalog) else ()


def _assert_made(ready: Ready) -> None:
    """The voice, if there is one, has an id; the receipt, if there is one, survives the database."""
    assert ready.voice is None or ready.voice.id.strip()
    assert ready.receipt is None or through_json(ready.receipt) == ready.receipt
