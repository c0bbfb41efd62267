"""The voices that an account keeps, for operators: listing, looking up and deleting them.

One URL, two vocabularies. Qwen-TTS voices are ready when they are made; voices of the CosyVoice and
qwen-audio models are deployed first, and say in ``status`` how far that is. Pages as in ``_qwen/wire``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ttsorch._http import JsonObject, Reply
from ttsorch.errors import ProviderError
from ttsorch.models import JsonValue
from ttsorch.providers._qwen.wire import is_qwen_tts, read_object

_READY_STATUSES = (None, "OK")


@dataclass(frozen=True, slots=True)
class KeptVoice:
    """A voice of the account. ``created_at`` and ``status`` are in the vendor's words, None if it has
    none; the voice speaks with ``target_model`` alone."""

    id: str
    target_model: str | None = None
    created_at: str | None = None
    status: str | None = None

    @property
    def ready(self) -> bool:
        """Whether it can be spoken with: not while it is DEPLOYING or UNDEPLOYED."""
        return self.status in _READY_STATUSES


@dataclass(frozen=True, slots=True)
class KeptVoices:
    """One page of them; ``page_index`` counts from 0, ``total`` is None when the vendor doesn't say."""

    voices: tuple[KeptVoice, ...]
    page_index: int
    page_size: int
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """How one family says it: the managing model, its verbs, and its name for a voice's id."""

    model: str
    list: str
    query: str
    delete: str
    voice: str


_CLONED = Vocabulary("qwen-voice-enrollment", "list", "query", "delete", "voice")
_DESIGNED = Vocabulary("qwen-voice-design", "list", "query", "delete", "voice")
_DEPLOYED = Vocabulary("voice-enrollment", "list_voice", "query_voice", "delete_voice", "voice_id")


def vocabulary(kind: str, target_model: str) -> Vocabulary:
    """That of voices of ``kind`` ("vc" or "vd") for ``target_model``."""
    if not is_qwen_tts(target_model):
        return _DEPLOYED
    return _CLONED if kind == "vc" else _DESIGNED


def asked_to_list(words: Vocabulary, page_index: int, page_size: int) -> JsonObject:
    return {"action": words.list, "page_index": page_index, "page_size": page_size}


def asked_to_query(words: Vocabulary, voice_id: str) -> JsonObject:
    return {"action": words.query, words.voice: voice_id}


def asked_to_delete(words: Vocabulary, voice_id: str) -> JsonObject:
    return {"action": words.delete, words.voice: voice_id}


def read_page(
    reply: Reply, words: Vocabulary, page_index: int, page_size: int, secrets: Sequence[str]
) -> KeptVoices:
    """
    Raises:
        ProviderError: see :func:`~ttsorch.providers._qwen.wire.read_object`.
    """
    output = _output(reply, secrets)
    listed = output.get("voice_list")
    rows = listed if isinstance(listed, list) else []
    voices = tuple(_kept(row, words) for row in rows if isinstance(row, dict))
    total = output.get("total_count")
    return KeptVoices(
        tuple(voice for voice in voices if voice.id),
        page_index,
        page_size,
        total if isinstance(total, int) and not isinstance(total, bool) else None,
    )


def read_kept(
    reply: Reply, words: Vocabulary, voice_id: str, secrets: Sequence[str]
) -> KeptVoice | None:
    """The voice that was asked for; None if there is none.

    Raises:
        ProviderError: see :func:`~ttsorch.providers._qwen.wire.read_object`.
    """
    output = _unless_missing(reply, secrets)
    # The family that deploys its voices doesn't repeat the id.
    return None if output is None else _kept({words.voice: voice_id, **output}, words)


def read_deleted(reply: Reply, secrets: Sequence[str]) -> bool:
    """Whether it was deleted; False if there was none.

    Raises:
        ProviderError: see :func:`~ttsorch.providers._qwen.wire.read_object`.
    """
    return _unless_missing(reply, secrets) is not None


def _unless_missing(reply: Reply, secrets: Sequence[str]) -> JsonObject | None:
    try:
        return _output(reply, secrets)
    except ProviderError as error:
        if error.code == "provider_voice_missing":
            return None
        raise


def _output(reply: Reply, secrets: Sequence[str]) -> JsonObject:
    output = read_object(reply, secrets).get("output")
    return output if isinstance(output, dict) else {}


def _kept(row: JsonObject, words: Vocabulary) -> KeptVoice:
    return KeptVoice(
        id=_word(row.get(words.voice)) or "",
        target_model=_word(row.get("target_model")),
        created_at=_word(row.get("gmt_create")),
        status=_word(row.get("status")),
    )


def _word(value: JsonValue) -> str | None:
    return value if isinstance(value, str) and value else None
