"""Where absolute URLs begin: at the host that the client named, or that a trusted proxy was asked for."""

import pytest

from tests.contract.world import A_CLONE, SIGNING_KEY, a_world
from ttsorch.contract import ContractHandler
from ttsorch.errors import ConfigurationError
from ttsorch.testing.fake_voices import FakeCastingProvider

pytestmark = pytest.mark.anyio

FORWARDED = {
    "host": "inner:8000",
    "x-forwarded-host": "speech.example",
    "x-forwarded-proto": "https",
}


async def _origin(
    headers: dict[str, str],
    *,
    trusted: tuple[str, ...] = (),
    peer: str | None = "127.0.0.1",
    scheme: str = "http",
) -> str:
    async with a_world(FakeCastingProvider(), trusted_proxies=trusted) as world:
        answer = await world.ask(
            "POST",
            "/api/clone/upload-url",
            send=A_CLONE,
            headers=headers,
            peer=peer,
            scheme=scheme,
        )
        return str(answer.json["upload_url"]).partition("/api/uploads/")[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["speech.example", "127.0.0.1:8000", "[::1]:8000", "a_b-c.d"])
async def test_a_direct_client_is_told_the_host_that_it_asked_for(scheme: str, host: str) -> None:
    """With the port, and the scheme of the connection."""
    assert await _origin({"host": host}, scheme=scheme) == f"{scheme}://{host}"


@pytest.mark.parametrize("trusted", [(), ("10.0.0.0/8",), ("::1",)])
async def test_anybody_can_say_forwarded(trusted: tuple[str, ...]) -> None:
    """So it doesn't count."""
    assert await _origin(FORWARDED, trusted=trusted) == "http://inner:8000"


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        (("127.0.0.1",), "127.0.0.1"),
        (("::1", "10.0.0.0/8"), "10.1.2.3"),
        (("10.0.0.0/8",), "::ffff:10.1.2.3"),
        (("::ffff:10.1.2.3",), "::ffff:10.1.2.3"),
        (("*",), "192.0.2.1"),
        (("*",), None),
    ],
)
async def test_a_trusted_proxy_says_how_it_was_asked(
    trusted: tuple[str, ...], peer: str | None
) -> None:
    """By its address, its network, or because nobody else can connect."""
    assert await _origin(FORWARDED, trusted=trusted, peer=peer) == "https://speech.example"


async def test_of_several_values_the_nearest_proxys_counts() -> None:
    """What was in the header before it came to our proxy may be anybody's."""
    headers = {
        "host": "inner",
        "x-forwarded-host": "evil.example, speech.example",
        "x-forwarded-proto": "gopher, https",
    }
    assert await _origin(headers, trusted=("127.0.0.1",)) == "https://speech.example"


async def test_a_proxy_may_forward_one_and_keep_the_other() -> None:
    """What it doesn't say is as it reached us."""
    headers = {"host": "speech.example", "x-forwarded-proto": "https"}
    assert await _origin(headers, trusted=("127.0.0.1",)) == "https://speech.example"


@pytest.mark.parametrize("host", ["", "a/b", "a@b", "a b", "[x", "a:b", "x" * 300, "ä.example"])
async def test_a_host_that_is_none_makes_a_relative_url(host: str) -> None:
    """Never a URL that leads somewhere else than it seems."""
    assert await _origin({"host": host}) == ""


async def test_a_proxy_that_is_no_address_is_refused() -> None:
    """At the start, not at the first request."""
    async with a_world() as world:
        with pytest.raises(ConfigurationError) as refused:
            ContractHandler(world.orchestrator, signing_key=SIGNING_KEY, trusted_proxies=("nginx",))
        assert refused.value.code == "trusted_proxy_invalid"
