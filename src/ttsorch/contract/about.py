"""What the server is and can do (R1, R2)."""

from ttsorch._audio import EXTENSIONS
from ttsorch.capabilities import MAX_CLIP_BYTES, MAX_VOICE_NAME
from ttsorch.contract.exchange import HttpResponse
from ttsorch.contract.fields import MAX_DESIGN_TEXT
from ttsorch.contract.routing import Call
from ttsorch.contract.wire import CapabilitiesBlock, HealthResponse, LanguagesResponse

_ANY_LANGUAGE = "Auto"


async def health(call: Call) -> HttpResponse:
    """R1. Says that requests are answered, not that the provider is."""
    return HealthResponse(ok=True).response()


async def languages(call: Call) -> HttpResponse:
    """R2. The default is always one of the languages offered."""
    provider = call.orchestrator.provider
    capabilities = provider.capabilities
    keeps_voices = call.orchestrator.voices is not None
    named = [language for language in capabilities.languages if language != _ANY_LANGUAGE]
    return LanguagesResponse(
        languages=(_ANY_LANGUAGE, *named),
        default=_ANY_LANGUAGE,
        provider=provider.name,
        capabilities=CapabilitiesBlock(
            supports_generate=capabilities.supports_generate,
            supports_generate_stream=capabilities.supports_generate_stream,
            default_generate_mode=capabilities.default_generate_mode,
            allow_generate_mode_toggle=capabilities.allow_generate_mode_toggle,
            max_text_chars=capabilities.max_text_chars,
            # Who keeps no voices can't make any, whatever its provider can.
            supports_clone=capabilities.cloning and keeps_voices,
            supports_design=capabilities.design and keeps_voices,
            max_voice_name_chars=MAX_VOICE_NAME,
            max_design_chars=MAX_DESIGN_TEXT,
            max_clip_bytes=MAX_CLIP_BYTES,
            clip_formats=capabilities.clip_formats or EXTENSIONS,
        ),
    ).response()
