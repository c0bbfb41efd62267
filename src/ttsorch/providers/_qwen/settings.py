"""What Qwen is configured with, checked when the provider is made, and the capabilities that follow.

Every refusal names the variable and what is expected, never the value: it may be a key in the wrong place.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ttsorch._environment import read
from ttsorch.errors import ConfigurationError
from ttsorch.models import Capabilities, Idempotency, OnUnknown
from ttsorch.providers._qwen.wire import LANGUAGES, is_qwen_tts

KEY = "DASHSCOPE_API_KEY"
MAX_TEXT = "QWEN_MAX_TEXT_CHARS"
_WORKSPACE, _WORKSPACE_ID = "DASHSCOPE_WORKSPACE", "DASHSCOPE_WORKSPACE_ID"

#: The snapshots that the vendor documents for cloned and designed voices, and the model of its own.
VC_MODEL, VD_MODEL, SYSTEM_MODEL = (
    "qwen3-tts-vc-2026-01-22",
    "qwen3-tts-vd-2026-01-26",
    "qwen3-tts-flash",
)

_VISIBLE = re.compile(r"[!-~]{1,512}")
_MODEL_NAME = re.compile(r"[\w.:/-]{1,128}", re.ASCII)
_RESULT_LIFETIME = 86_400.0


@dataclass(frozen=True, slots=True)
class Models:
    """The model of each kind of voice: cloned, designed and the vendor's own."""

    vc: str = VC_MODEL
    vd: str = VD_MODEL
    system: str = SYSTEM_MODEL

    def __post_init__(self) -> None:
        _check_model("QWEN_VC_TARGET_MODEL", self.vc)
        _check_model("QWEN_VD_TARGET_MODEL", self.vd)
        _check_model("QWEN_SYSTEM_MODEL", self.system)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Models":
        return cls(
            vc=read(environ, "QWEN_VC_TARGET_MODEL") or VC_MODEL,
            vd=read(environ, "QWEN_VD_TARGET_MODEL") or VD_MODEL,
            system=read(environ, "QWEN_SYSTEM_MODEL") or SYSTEM_MODEL,
        )

    def of_kind(self, kind: str | None) -> str | None:
        return {"vc": self.vc, "vd": self.vd, "system": self.system}.get(kind or "")


def required_key(environ: Mapping[str, str]) -> str:
    """
    Raises:
        ConfigurationError: there is none.
    """
    key = read(environ, KEY)
    if key is None:
        raise ConfigurationError(
            f"{KEY} is required for the provider 'qwen'.", code="setting_missing", field=KEY
        )
    return key


def workspace_in(environ: Mapping[str, str]) -> str | None:
    """Either SDK generation's variable; the newer one wins."""
    return read(environ, _WORKSPACE) or read(environ, _WORKSPACE_ID)


def checked_key(key: str) -> str:
    """
    Raises:
        ConfigurationError: it can't be sent as a header.
    """
    return _visible(KEY, key)


def checked_workspace(workspace: str | None) -> str | None:
    """
    Raises:
        ConfigurationError: it can't be sent as a header.
    """
    return None if workspace is None else _visible(_WORKSPACE, workspace)


def checked_seconds(timeout: float) -> float:
    """
    Raises:
        ConfigurationError: it isn't a positive, finite number.
    """
    if not (math.isfinite(timeout) and timeout > 0):
        raise _malformed("timeout", "a positive number of seconds")
    return timeout


def capabilities_of(models: Models, max_text_chars: int) -> Capabilities:
    """
    Raises:
        ConfigurationError: the limit isn't positive.
    """
    if max_text_chars < 1:
        raise _malformed(MAX_TEXT, "a whole number, at least 1")
    return Capabilities(
        max_text_chars=max_text_chars,
        direct=True,
        can_cancel=False,
        idempotency=Idempotency.NONE,
        on_unknown=OnUnknown.FAIL,
        languages=tuple(LANGUAGES),
        formats=("wav",),
        sample_rates=(24000,),
        # The other family takes recordings by public URL only, and deploys its voices in the background.
        cloning=is_qwen_tts(models.vc),
        clip_formats=("wav", "mp3", "m4a"),
        design=is_qwen_tts(models.vd),
        result_lifetime=_RESULT_LIFETIME,
    )


def _check_model(variable: str, model: str) -> None:
    if not _MODEL_NAME.fullmatch(model) or "-realtime" in model:
        raise _malformed(
            variable, "the name of a model with an HTTP API (a realtime model has none)"
        )


def _visible(variable: str, value: str) -> str:
    if not _VISIBLE.fullmatch(value):
        raise _malformed(variable, "visible ASCII characters without spaces")
    return value


def _malformed(variable: str, expected: str) -> ConfigurationError:
    return ConfigurationError(
        f"{variable} must be {expected}.", code="setting_malformed", field=variable
    )
