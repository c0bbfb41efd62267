"""How Qwen is configured, and what is refused before anything is sent."""

from collections.abc import Callable

import pytest

from tests.providers.dashscope_recordings import API_KEY, RecordedResults, Vendor, hello, qwen_voice
from ttsorch.errors import ConfigurationError
from ttsorch.models import Attempt, Capabilities, Idempotency, OnUnknown
from ttsorch.protocols import RequestChecking, VoiceCatalog, VoiceCloning, VoiceDesign
from ttsorch.providers._qwen.hosts import origin_for
from ttsorch.providers.qwen import QwenProvider

pytestmark = pytest.mark.anyio

SINGAPORE, BEIJING = "https://dashscope-intl.aliyuncs.com", "https://dashscope.aliyuncs.com"


def _configured(**environ: str) -> QwenProvider:
    return QwenProvider.from_env({"DASHSCOPE_API_KEY": API_KEY, **environ})


@pytest.mark.parametrize(
    ("base_url", "region", "origin"),
    [
        (None, None, SINGAPORE),
        (None, "intl", SINGAPORE),
        (None, "INTL", SINGAPORE),
        (None, "cn", BEIJING),
        (None, "cn-beijing", BEIJING),
        (None, "cn-hongkong", "https://cn-hongkong.dashscope.aliyuncs.com"),
        (None, "eu-central-1", SINGAPORE),
        (BEIJING, None, BEIJING),
        (f"{BEIJING}/", None, BEIJING),
        (f"{BEIJING}/api/v1", None, BEIJING),
        (f"{BEIJING}/api/v1/", None, BEIJING),
        (f"{BEIJING}:443", "cn", BEIJING),
        (BEIJING, "cn", BEIJING),
        (SINGAPORE, "us-east-1", SINGAPORE),
        ("http://127.0.0.1:9000", "cn", "http://127.0.0.1:9000"),
        ("http://[::1]:9000/api/v1", "cn", "http://[::1]:9000"),
        ("https://gateway.test", "cn", "https://gateway.test"),
        (
            "https://ws-1.cn-beijing.maas.aliyuncs.com",
            "cn",
            "https://ws-1.cn-beijing.maas.aliyuncs.com",
        ),
    ],
)
def test_a_base_url_may_have_both_meanings(
    base_url: str | None, region: str | None, origin: str
) -> None:
    """With the path that the vendor's SDK wants, or without; a region stands for its host."""
    assert origin_for(base_url, region) == origin


@pytest.mark.parametrize(
    ("base_url", "region"),
    [
        (BEIJING, "intl"),
        (f"{SINGAPORE}/api/v1", "cn"),
        (SINGAPORE, "cn-hongkong"),
        ("https://ws-1.cn-beijing.maas.aliyuncs.com", "ap-southeast-1"),
        ("https://DASHSCOPE.aliyuncs.com", "intl"),
    ],
)
def test_a_host_of_another_region_is_refused(base_url: str, region: str) -> None:
    """A key is valid in one region only: the text would leave, and come back as a 401."""
    with pytest.raises(ConfigurationError) as refused:
        origin_for(base_url, region)
    assert "DASHSCOPE_BASE_URL" in refused.value.message
    assert "DASHSCOPE_REGION" in refused.value.message


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DASHSCOPE_BASE_URL", "http://c4nary.test"),
        ("DASHSCOPE_BASE_URL", "https://u:c4nary@gateway.test"),
        ("DASHSCOPE_BASE_URL", "c4nary"),
        ("DASHSCOPE_BASE_URL", f"{SINGAPORE}/compatible-mode/v1/c4nary"),
        ("DASHSCOPE_BASE_URL", f"{SINGAPORE}/?c4nary=1"),
        ("DASHSCOPE_BASE_URL", f"{SINGAPORE}/#c4nary"),
        ("DASHSCOPE_REGION", "c4nary"),
        ("DASHSCOPE_API_KEY", "sk-c4nary sk-two"),
        ("DASHSCOPE_API_KEY", "sk-c4nary\r\nX-Injected: 1"),
        ("DASHSCOPE_API_KEY", "sk-c4naryé"),
        ("DASHSCOPE_WORKSPACE", "c4nary\nX-Injected: 1"),
        ("QWEN_VC_TARGET_MODEL", "c4nary model"),
        ("QWEN_VD_TARGET_MODEL", "c4nary-realtime"),
        ("QWEN_SYSTEM_MODEL", "c4nary\n2"),
        ("QWEN_MAX_TEXT_CHARS", "c4nary"),
        ("QWEN_MAX_TEXT_CHARS", "0"),
        ("TTSORCH_RESULT_HOSTS", "c4nary"),
    ],
)
def test_a_bad_value_is_refused_by_name(variable: str, value: str) -> None:
    """When the provider is made; the value is never shown."""
    with pytest.raises(ConfigurationError) as refused:
        _configured(**{variable: value})
    assert refused.value.field == variable
    assert variable in refused.value.message
    assert "c4nary" not in f"{refused.value!r} {vars(refused.value)!r}"


@pytest.mark.parametrize("environ", [{}, {"DASHSCOPE_API_KEY": "  "}])
def test_a_key_is_required(environ: dict[str, str]) -> None:
    """A blank one is none."""
    with pytest.raises(ConfigurationError, match=r"^DASHSCOPE_API_KEY is required"):
        QwenProvider.from_env(environ)


@pytest.mark.parametrize(
    "make",
    [
        lambda: QwenProvider(api_key=""),
        lambda: QwenProvider(api_key=API_KEY, max_text_chars=0),
        lambda: QwenProvider(api_key=API_KEY, timeout=0),
        lambda: QwenProvider(api_key=API_KEY, timeout=float("nan")),
        lambda: QwenProvider(api_key=API_KEY, timeout=float("inf")),
    ],
)
def test_arguments_are_checked_like_variables(make: Callable[[], QwenProvider]) -> None:
    """Whoever makes it without an environment gets the same care."""
    with pytest.raises(ConfigurationError):
        make()


async def test_the_environment_reaches_the_wire() -> None:
    """Base URL, workspace and models, as they were set."""
    vendor = Vendor()
    provider = QwenProvider(
        api_key=API_KEY,
        base_url=f"{BEIJING}/api/v1",
        region="cn",
        workspace="ws-fake",
        system_model="qwen3-tts-flash-2025-11-27",
        transport=vendor,
        downloader=RecordedResults(),
    )
    await provider.submit(hello(qwen_voice(model="qwen3-tts-flash-2025-11-27")), Attempt("key"))
    assert str(vendor.requests[0].url).startswith(f"{BEIJING}/api/v1/services/")
    assert vendor.requests[0].headers["x-dashscope-workspace"] == "ws-fake"


@pytest.mark.parametrize("variable", ["DASHSCOPE_WORKSPACE", "DASHSCOPE_WORKSPACE_ID"])
async def test_every_variable_is_read(variable: str) -> None:
    """Each lands where its argument does."""
    provider = _configured(
        DASHSCOPE_BASE_URL=f" {BEIJING}/ ",
        DASHSCOPE_REGION="cn",
        QWEN_VC_TARGET_MODEL="vc-1",
        QWEN_VD_TARGET_MODEL="vd-1",
        QWEN_SYSTEM_MODEL="qwen3-tts-instruct-flash",
        QWEN_MAX_TEXT_CHARS="700",
        TTSORCH_RESULT_HOSTS="127.0.0.1:9000",
        **{variable: "ws-fake"},
    )
    assert provider.capabilities.max_text_chars == 700
    assert (provider._models.vc, provider._models.vd) == ("vc-1", "vd-1")
    assert provider._models.system == "qwen3-tts-instruct-flash"
    assert (provider._account.origin, provider._account.workspace) == (BEIJING, "ws-fake")
    assert provider._private_hosts == ("127.0.0.1:9000",)


def test_the_capabilities_are_the_vendors() -> None:
    """Direct, not cancellable, not idempotent: an unknown outcome stays one."""
    assert _configured().capabilities == Capabilities(
        max_text_chars=600,
        direct=True,
        can_cancel=False,
        idempotency=Idempotency.NONE,
        on_unknown=OnUnknown.FAIL,
        languages=(
            *("Chinese", "English", "German", "Italian", "Portuguese"),
            *("Spanish", "Japanese", "Korean", "French", "Russian"),
        ),
        formats=("wav",),
        sample_rates=(24000,),
        cloning=True,
        clip_formats=("wav", "mp3", "m4a"),
        design=True,
        result_lifetime=86400.0,
    )


def test_it_has_all_four_powers() -> None:
    """Found by isinstance, as the orchestrator does."""
    provider = _configured()
    for power in (VoiceCatalog, RequestChecking, VoiceCloning, VoiceDesign):
        assert isinstance(provider, power)


def test_no_repr_shows_the_key() -> None:
    """Neither the provider's nor that of what it holds."""
    provider = _configured(DASHSCOPE_WORKSPACE="ws-canary")
    shown = f"{provider!r} {provider._account!r} {provider._models!r}"
    assert API_KEY not in shown
    assert "ws-canary" not in shown
