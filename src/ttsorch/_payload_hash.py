"""What tells a repeated request from another one under the same idempotency key."""

import hashlib
import json
from collections.abc import Mapping

from ttsorch.models import JsonValue


def speech_hash(text: str, voice_id: str, language: str, options: Mapping[str, JsonValue]) -> str:
    # How a language is spelled depends on the provider of the day, which may be another one by now.
    return payload_hash(text, voice_id, language.casefold(), options)


def payload_hash(*payload: JsonValue) -> str:
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(canonical.encode()).hexdigest()
