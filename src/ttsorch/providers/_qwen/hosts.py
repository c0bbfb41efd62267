"""Where DashScope (Alibaba Cloud Model Studio) is reached: a region's origin, and which origins go with it.

API keys are bound to a region; a key that is used in another one gets a 401. So a base URL that is known to
serve one region, beside a setting that names another, is refused before any text leaves. Hosts as of the
vendor's page "voice-clone-design-http-api" (2026-07-02) and its Python SDK 2.0.2.
"""

import re
from collections.abc import Mapping

import httpx

from ttsorch._http import require_https
from ttsorch.errors import ConfigurationError

BASE_URL, REGION = "DASHSCOPE_BASE_URL", "DASHSCOPE_REGION"

_BEIJING = "https://dashscope.aliyuncs.com"
_SINGAPORE = "https://dashscope-intl.aliyuncs.com"
_HONG_KONG = "https://cn-hongkong.dashscope.aliyuncs.com"

#: The shared host of each region. The last three have none of their own, as far as the SDK knows.
_ORIGINS: Mapping[str, str] = {
    "cn-beijing": _BEIJING,
    "ap-southeast-1": _SINGAPORE,
    "cn-hongkong": _HONG_KONG,
    "us-east-1": _SINGAPORE,
    "eu-central-1": _SINGAPORE,
    "ap-northeast-1": _SINGAPORE,
}
_SHORT_NAMES: Mapping[str, str] = {"cn": "cn-beijing", "intl": "ap-southeast-1"}

#: A workspace's own host, which names its region.
_WORKSPACE_HOST = re.compile(r"[a-z0-9-]+\.(?P<region>[a-z0-9-]+)\.maas\.aliyuncs\.com")


def origin_for(base_url: str | None, region: str | None) -> str:
    """``scheme://host[:port]`` of the API. Without a base URL the region's shared host, without either
    Singapore's.

    ``base_url`` may end in ``/api/v1``, as the vendor's SDK wants it, or not.

    Raises:
        ConfigurationError: one of the two is malformed, or they contradict each other.
    """
    named = _known_region(region)
    if base_url is None:
        return _ORIGINS[named or "ap-southeast-1"]
    origin = _origin(base_url)
    served = _regions_of(origin)
    if named is not None and served and named not in served:
        raise ConfigurationError(
            f"{BASE_URL} and {REGION} name different regions; an API key is only valid in its own.",
            code="settings_contradict",
            field=REGION,
        )
    return origin


def _known_region(region: str | None) -> str | None:
    if region is None:
        return None
    named = _SHORT_NAMES.get(region.lower(), region.lower())
    if named not in _ORIGINS:
        expected = ", ".join((*_SHORT_NAMES, *_ORIGINS))
        raise ConfigurationError(
            f"{REGION} must be one of: {expected}.", code="setting_malformed", field=REGION
        )
    return named


def _origin(base_url: str) -> str:
    url = httpx.URL(require_https(base_url.strip(), BASE_URL))
    # A path of the OpenAI-compatible API ("/compatible-mode/v1") is the likely mistake: no speech there.
    if url.query or url.fragment or url.path.rstrip("/") not in ("", "/api/v1"):
        raise ConfigurationError(
            f"{BASE_URL} must be an origin, with or without /api/v1 after it.",
            code="setting_malformed",
            field=BASE_URL,
        )
    return str(url.copy_with(raw_path=b"/", fragment=None)).rstrip("/#")


def _regions_of(origin: str) -> frozenset[str]:
    """The regions that a host of the vendor's serves; empty for a host that nobody knows."""
    shared = frozenset(region for region, known in _ORIGINS.items() if known == origin)
    workspace = _WORKSPACE_HOST.fullmatch(httpx.URL(origin).host)
    return frozenset({workspace["region"]}) if workspace else shared
