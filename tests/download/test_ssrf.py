"""Nobody inside our network hears from us: directly, by redirect, or by a name that leads inside."""

import pytest

from tests.download.corpus import URLS
from tests.download.internet import PUBLIC, QUICK, Internet, Names, at, internet, read
from tests.download.test_addresses import NO_ADDRESS, NOT_PUBLIC
from tests.http.raw_server import Peer, http_reply, serving
from ttsorch._download import Downloader
from ttsorch.errors import ProviderUnavailable

pytestmark = pytest.mark.anyio

HOSTS = ("media.example.com", "*.aliyuncs.com")
URL = "https://media.example.com/a.wav?Signature=c4nary"
# A name of no use to a resolver shows whether one was asked.
NOBODY = Names({})


async def _refused(downloader: Downloader, url: str) -> ProviderUnavailable:
    with pytest.raises(ProviderUnavailable) as caught:
        await read(downloader, url, {"Authorization": "c4nary"})
    error = caught.value
    assert (error.code, error.retryable) == ("result_url_blocked", False), error.detail
    assert error.__cause__ is error.__context__ is None
    assert "c4nary" not in f"{error!r} {error.message} {error.detail}"
    return error


def _untouched(world: Internet) -> None:
    assert world.dialled == []
    assert world.canary.connections == 0


async def test_a_url_of_the_corpus_costs_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every URL is refused before a name is resolved, and all with the same words."""
    async with internet(monkeypatch) as world:
        downloader = Downloader(hosts=HOSTS, limits=QUICK, resolve=NOBODY)
        messages = {(await _refused(downloader, url)).message for url in URLS}
        await downloader.aclose()
        _untouched(world)
    assert len(messages) == 1
    assert NOBODY.asked == []
    assert len(set(URLS)) >= 60


async def test_a_redirect_into_the_corpus_costs_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The place that redirects is asked, the place that it names isn't."""
    locations = [url for url in URLS if not set(url) & set("\r\n\0") and url == url.strip()]

    async def sending_on(peer: Peer) -> None:
        request = await peer.read_request()
        index = int((request or b"").split(b" ")[1].strip(b"/"))
        location = locations[index].encode()
        await peer.send(
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
        )

    async with serving(sending_on) as server, internet(monkeypatch) as world:
        world.leads_to["127.0.0.1", server.port] = server.port
        downloader = Downloader(hosts=HOSTS, private=[at(server)], limits=QUICK, resolve=NOBODY)
        for index in range(len(locations)):
            await _refused(downloader, f"{server.url}/{index}")
        await downloader.aclose()
        assert set(world.dialled) == {("127.0.0.1", server.port)}
        assert world.canary.connections == 0
    assert server.connections == len(locations) >= 60
    assert NOBODY.asked == []


@pytest.mark.parametrize("before", [[], [PUBLIC]], ids=["alone", "behind a public one"])
@pytest.mark.parametrize("after", [[], [PUBLIC]], ids=["", "before a public one"])
async def test_a_name_with_an_address_inside_costs_no_connection(
    before: list[str], after: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One address that isn't public among many is enough."""
    async with internet(monkeypatch) as world:
        for address in (*NOT_PUBLIC, *NO_ADDRESS):
            names = Names({"media.example.com": [[*before, address, *after]]})
            downloader = Downloader(hosts=HOSTS, limits=QUICK, resolve=names)
            await _refused(downloader, URL)
            await downloader.aclose()
            assert names.asked == [("media.example.com", 443)]
        _untouched(world)


async def test_a_name_that_flips_costs_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was public a moment ago is judged again, for every connection; in between, nothing is cached."""
    async with internet(monkeypatch) as world:
        for address in NOT_PUBLIC:
            names = Names({"media.example.com": [[PUBLIC], [address]]})
            downloader = Downloader(hosts=HOSTS, limits=QUICK, resolve=names)
            with pytest.raises(ProviderUnavailable, match="try again"):
                await read(downloader, URL)
            await _refused(downloader, URL)
            await downloader.aclose()
        assert set(world.dialled) == {(PUBLIC, 443)}
        assert len(world.dialled) == len(NOT_PUBLIC)


async def test_an_address_in_the_url_is_judged_although_it_is_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A list of hosts that names an address doesn't vouch for it; no resolver is asked about it."""
    async with internet(monkeypatch) as world:
        for address in ("127.0.0.1", "169.254.169.254", "100.100.100.200"):
            downloader = Downloader(hosts=[address], limits=QUICK, resolve=NOBODY)
            await _refused(downloader, f"https://{address}/")
        _untouched(world)
    assert NOBODY.asked == []


async def test_the_systems_resolver_is_judged_too() -> None:
    """With nothing injected, a name of this very machine is refused."""
    downloader = Downloader(hosts=["localhost"], limits=QUICK)
    error = await _refused(downloader, "https://localhost/")
    assert "loopback" in (error.detail or "") or "unicast" in (error.detail or "")


async def test_a_private_place_is_used_as_given() -> None:
    """The operator's word goes over the rule on addresses, for that port alone."""
    reply = http_reply(b"audio")

    async def behaviour(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(reply)

    async with serving(behaviour) as server:
        names = Names({"box.lan": [["127.0.0.1"]]})
        place = f"box.lan:{server.port}"
        downloader = Downloader(hosts=["box.lan"], private=[place], limits=QUICK, resolve=names)
        assert await read(downloader, f"http://{place}/a") == b"audio"
        await _refused(downloader, "https://box.lan/a")
        await downloader.aclose()
