"""The other vocabulary of DashScope's voice route: ``voice-enrollment``, for CosyVoice and Qwen-Audio voices.

Its voices are reviewed and deployed after they were made; only one whose status is ``OK`` speaks
(https://docs.qwencloud.com/api-reference/speech-synthesis/voice-cloning/cosyvoice/query-voice, 2026).
"""

import re
import secrets
from collections.abc import Mapping

from ttsorch.models import JsonValue
from ttsorch.testing._dashscope.voices import (
    Account,
    EnrolledVoice,
    design_of,
    moment,
    page_of,
)
from ttsorch.testing._dashscope.wire import invalid, section, text_of

MODEL = "voice-enrollment"

_MISSING = "BadRequest.ResourceNotExist"
_PREFIX = re.compile(r"[A-Za-z0-9]{1,10}")
_TARGET = re.compile(r"(?:cosyvoice|qwen-audio)-[a-z0-9.-]+")


class CosyVoices:
    """The actions of ``voice-enrollment``. A clip is named by its web address, which the fake only reads."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def act(self, body: Mapping[str, object]) -> tuple[JsonValue, JsonValue]:
        """Do one action; its ``output`` and ``usage``."""
        given = section(body, "input")
        action = given.get("action")
        if action == "create_voice":
            return await self._create(given, section(body, "parameters", required=False)), {
                "count": 1
            }
        if action == "list_voice":
            return self._list(given), {"count": 1}
        if action not in ("query_voice", "update_voice", "delete_voice"):
            raise invalid("action is not one of the supported values.")
        voice = self._account.find(MODEL, text_of(given, "voice_id"), _MISSING)
        if action == "query_voice":
            return _detail(voice), {"count": 1}
        if action == "update_voice":
            self._deploy(voice, _clip_address(given))
        else:
            del self._account.voices[voice.id]
        return {}, {"count": 1}

    async def _create(
        self, given: Mapping[str, object], parameters: Mapping[str, object]
    ) -> JsonValue:
        target_model = text_of(given, "target_model")
        if not _TARGET.fullmatch(target_model):
            raise invalid("target_model is not one of the supported values.")
        prefix = text_of(given, "prefix")
        if not _PREFIX.fullmatch(prefix):
            raise invalid("prefix must be 1 to 10 letters or digits.")
        voice_id = f"{target_model}-{prefix}-{secrets.token_hex(16)}"
        if "voice_prompt" not in given:
            address = _clip_address(given)
            self._account.check_room()
            self._deploy(self._account.add(voice_id, MODEL, target_model), address)
            self._account.ledger.accept(voice_id, prefix, "clone")
            return {"voice_id": voice_id}
        prompt, preview_text = design_of(given, parameters)
        self._account.check_room()
        preview = await self._account.preview(preview_text)
        self._deploy(self._account.add(voice_id, MODEL, target_model), "")
        self._account.ledger.accept(voice_id, prompt, "design")
        return {"voice_id": voice_id, "target_model": target_model, "preview_audio": preview}

    def _deploy(self, voice: EnrolledVoice, address: str) -> None:
        switches = self._account.switches
        voice.modified = self._account.clock()
        voice.about = {"resource_link": address}
        voice.deploying_answers = switches.deploying_answers
        voice.undeployed = switches.undeployed

    def _list(self, given: Mapping[str, object]) -> JsonValue:
        voices = self._account.made_by(MODEL)
        if given.get("prefix") is not None:
            prefix = text_of(given, "prefix")
            voices = [v for v in voices if v.id.startswith(f"{v.target_model}-{prefix}-")]
        page, _, _ = page_of(voices, given)
        return {"voice_list": tuple({"voice_id": voice.id, **_detail(voice)} for voice in page)}


def _detail(voice: EnrolledVoice) -> Mapping[str, JsonValue]:
    """The voice as it is reported now. Each report brings its deployment one step on."""
    status = voice.status
    voice.deploying_answers = max(0, voice.deploying_answers - 1)
    return {
        "gmt_create": moment(voice.created),
        "gmt_modified": moment(voice.modified),
        "target_model": voice.target_model,
        "status": status,
        **voice.about,
    }


def _clip_address(given: Mapping[str, object]) -> str:
    address = text_of(given, "url")
    if not address.startswith(("http://", "https://")):
        raise invalid("url must be the web address of a clip.")
    return address
