"""How a Modal deployment is configured, what it can do then, and what fails at construction."""

import math
from collections.abc import Mapping

import httpx
import pytest

from tests.providers.modal_recordings import (
    CANCEL_URL,
    DESIGN_URL,
    KEY,
    RESULT_URL,
    SECRET,
    STATUS_URL,
    SUBMIT_URL,
    Scripted,
    answer,
    provider_over,
)
from ttsorch._download import Downloader
from ttsorch.errors import ConfigurationError, ProviderUnavailable
from ttsorch.models import Idempotency
from ttsorch.protocols import RequestChecking, VoiceCatalog, VoiceCloning, VoiceDesign
from ttsorch.providers._modal.settings import checked_settings
from ttsorch.providers.modal import ModalProvider

NEEDED = {
    "MODAL_JOB_SUBMIT": SUBMIT_URL,
    "MODAL_JOB_STATUS": STATUS_URL,
    "MODAL_JOB_RESULT": RESULT_URL,
}
ALL = {
    **NEEDED,
    "MODAL_JOB_CANCEL": CANCEL_URL,
    "MODAL_ENDPOINT_VOICE_DESIGN": DESIGN_URL,
    "MODAL_KEY": KEY,
    "MODAL_SECRET": SECRET,
}


def _refusal(environ: Mapping[str, str]) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as refused:
        ModalProvider.from_env(environ)
    return refused.value


def test_a_whole_deployment_can_do_everything() -> None:
    """With every endpoint: a job provider that cancels, designs, and sends the clip along."""
    capabilities = ModalProvider.from_env(ALL).capabilities
    assert not capabilities.direct
    assert (capabilities.can_cancel, capabilities.design) == (True, True)
    assert (capabilities.cloning, capabilities.sends_clip) == (True, True)
    assert capabilities.max_text_chars == 10_000
    assert capabilities.idempotency is Idempotency.NONE
    assert (capabilities.formats, capabilities.sample_rates) == (("wav",), (24_000,))
    assert capabilities.result_lifetime == 604_800
    assert len(capabilities.languages) == 10
    assert "Portuguese" in capabilities.languages


def test_a_deployment_without_the_optional_endpoints_says_so() -> None:
    """With the three job endpoints only, there is neither cancel nor design."""
    capabilities = ModalProvider.from_env(NEEDED).capabilities
    assert (capabilities.can_cancel, capabilities.design) == (False, False)


def test_a_blank_variable_is_unset() -> None:
    """A template's empty lines configure nothing."""
    blank = {"MODAL_JOB_CANCEL": "  ", "MODAL_KEY": "", "MODAL_SECRET": ""}
    provider = ModalProvider.from_env({**ALL, **blank})
    assert not provider.capabilities.can_cancel


def test_its_powers_are_found() -> None:
    """It checks requests and designs voices; it has no catalog, and no call that makes a clone."""
    provider = ModalProvider.from_env(ALL)
    assert isinstance(provider, RequestChecking)
    assert isinstance(provider, VoiceDesign)
    assert not isinstance(provider, VoiceCatalog)
    assert not isinstance(provider, VoiceCloning)


@pytest.mark.parametrize("variable", list(NEEDED))
def test_a_missing_endpoint_is_named(variable: str) -> None:
    """The job endpoints are all needed."""
    refusal = _refusal({name: value for name, value in NEEDED.items() if name != variable})
    assert (refusal.field, refusal.code) == (variable, "setting_missing")
    assert refusal.message.startswith(f"{variable} must be set")


@pytest.mark.parametrize("variable", [*NEEDED, "MODAL_JOB_CANCEL", "MODAL_ENDPOINT_VOICE_DESIGN"])
@pytest.mark.parametrize(
    "url",
    [
        "http://c4nary.modal.run/",
        "https://user:c4nary@x.modal.run/",
        "c4nary.modal.run",
        "ftp://c4nary/",
        "https://c4nary.modal.run/\nx",
        "https://c4nary modal.run/",
        "https://c4nary.modal.run./",
        "https://-c4nary.modal.run/",
        f"https://c4nary{'y' * 58}.modal.run/",
    ],
)
def test_a_malformed_url_is_named_but_never_shown(variable: str, url: str) -> None:
    """Plain http, a user name, another scheme and white space are refused for every endpoint."""
    refusal = _refusal({**ALL, variable: url})
    assert refusal.field == variable
    assert variable in refusal.message
    assert "c4nary" not in f"{refusal} {refusal!r} {vars(refusal)}"
    assert refusal.__context__ is None or refusal.__suppress_context__


def test_plain_http_is_for_loopback() -> None:
    """A fake deployment on this machine needs no certificate."""
    local = dict.fromkeys(NEEDED, "http://127.0.0.1:8123/x")
    ModalProvider.from_env(local)


@pytest.mark.parametrize(
    ("key", "secret", "field"),
    [
        (KEY, "", "MODAL_SECRET"),
        ("", SECRET, "MODAL_KEY"),
        ("wk-c4 nary", SECRET, "MODAL_KEY"),
        (KEY, "ws-c4\nnary", "MODAL_SECRET"),
        (KEY, "ws-c4näry", "MODAL_SECRET"),
    ],
)
def test_half_a_proxy_token_or_an_odd_one_is_named_but_never_shown(
    key: str, secret: str, field: str
) -> None:
    """Key and secret come together, in printable ASCII without spaces."""
    refusal = _refusal({**NEEDED, "MODAL_KEY": key, "MODAL_SECRET": secret})
    assert refusal.field == field
    assert field in refusal.message
    assert "c4" not in f"{refusal!r} {vars(refusal)}"


def test_an_empty_key_given_in_code_is_refused() -> None:
    """A constructor argument isn't stripped: what is given has to be usable."""
    with pytest.raises(ConfigurationError, match="MODAL_KEY must be printable"):
        ModalProvider(
            submit_url=SUBMIT_URL,
            status_url=STATUS_URL,
            result_url=RESULT_URL,
            key="",
            secret=SECRET,
        )


@pytest.mark.parametrize("tokens", [255, 4097, True])
def test_a_default_that_no_endpoint_takes_is_refused(tokens: int) -> None:
    """max_new_tokens runs from 256 to 4096, for the default as well."""
    with pytest.raises(ConfigurationError, match="max_new_tokens must be from 256 to 4096"):
        ModalProvider(
            submit_url=SUBMIT_URL,
            status_url=STATUS_URL,
            result_url=RESULT_URL,
            max_new_tokens=tokens,
        )


@pytest.mark.parametrize("name", ["submit_deadline", "design_deadline", "ask_deadline"])
@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_a_deadline_that_is_none_is_refused(name: str, seconds: float) -> None:
    """Every call is bounded, by a positive number of seconds."""
    given = {"submit_deadline": 180.0, "design_deadline": 180.0, "ask_deadline": 25.0}
    given[name] = seconds
    with pytest.raises(ConfigurationError) as refused:
        ModalProvider(
            submit_url=SUBMIT_URL,
            status_url=STATUS_URL,
            result_url=RESULT_URL,
            submit_deadline=given["submit_deadline"],
            design_deadline=given["design_deadline"],
            ask_deadline=given["ask_deadline"],
        )
    assert refused.value.field == name


def test_audio_comes_from_the_configured_origins_only() -> None:
    """The places of results and of designs, each once, with the port that their scheme implies."""
    settings = checked_settings(
        submit_url=SUBMIT_URL,
        status_url=STATUS_URL,
        result_url="http://127.0.0.1/result",
        cancel_url=None,
        design_url="https://[2001:db8::7]/x?y=1",
        key=None,
        secret=None,
    )
    assert settings.audio_places == ("127.0.0.1:80", "[2001:db8::7]:443")


def test_no_repr_shows_a_secret() -> None:
    """Neither the provider nor its settings print the proxy token or a URL."""
    provider = ModalProvider.from_env(ALL)
    shown = f"{provider!r} {provider} {vars(provider)!r}"
    assert "c4nary" not in shown
    assert "acme" not in shown


@pytest.mark.anyio
async def test_a_client_handed_in_stays_open() -> None:
    """Closing the provider closes what it opened, and nothing of the caller's."""
    http = httpx.AsyncClient(transport=Scripted([answer(200)]))
    downloader = Downloader(hosts=["x.example"], transport=Scripted([answer(200, b"RIFF")]))
    provider = ModalProvider(
        submit_url=SUBMIT_URL,
        status_url=STATUS_URL,
        result_url=RESULT_URL,
        http=http,
        downloader=downloader,
    )
    await provider.aclose()
    assert (await http.get(STATUS_URL)).status_code == 200
    async with downloader.open("https://x.example/") as stream:
        assert stream.length == 4
    await http.aclose()


@pytest.mark.anyio
async def test_its_own_client_is_closed() -> None:
    """After closing, nothing is sent any more."""
    transport = Scripted([])
    provider = provider_over(transport)
    await provider.aclose()
    with pytest.raises(ProviderUnavailable, match="temporarily"):
        await provider.check({"job_id": "fc-1"})
    with pytest.raises(ProviderUnavailable, match="temporarily"):
        async with provider.fetch({"job_id": "fc-1"}):
            pass
    assert not transport.asked
