"""Building requests: what may be sent, and what a redirect turns a request into."""

from types import MappingProxyType

import httpx
import pytest

from tests.http.raw_server import answering, http_reply
from ttsorch._http import (
    HttpClient,
    Reply,
    get_request,
    post_request,
    redirected,
    require_https,
    same_origin,
)
from ttsorch.errors import ConfigurationError, ProviderUnavailable
from ttsorch.models import JsonValue

_BAD_URLS = [
    "",
    "vendor.test/x",
    "/x",
    "ftp://vendor.test/",
    "https://",
    "https://user@vendor.test/",
    "https://user:pass@vendor.test/",
    "https://vendor.test:0/",
    "https://vendor.test:65536/",
    "https://vendor.test:x/",
    "https://vendor.test/a b",
    "https://vendor.test/\r\nX: 1",
    "https://vendor.test/\t",
    "https://vendör.test/",
    "https://vendor.test\\@other.test/",
    "https://[::1/",
    "https://[",
    "https://a%2eb/",
    "https://a,b/",
    "http://vendor.test/",
    "http://10.0.0.1/",
    "http://127.1/",
    "http://localhost.vendor.test/",
    "http://0.0.0.0/",
    "http://[::]/",
]
_GOOD_URLS = [
    "https://vendor.test",
    "https://vendor.test:8443/a?b=%20c",
    "https://10.0.0.1/",
    "http://localhost:8000/x",
    "http://127.0.0.1:8000",
    "http://127.9.9.9/",
    "http://[::1]:8000/",
]


@pytest.mark.parametrize("url", _BAD_URLS)
def test_a_bad_url_is_refused_everywhere(url: str) -> None:
    """As a request it is unsendable for good, as a setting a configuration error, as an origin unequal."""
    with pytest.raises(ProviderUnavailable) as caught:
        get_request(url)
    assert (caught.value.ambiguous, caught.value.retryable) == (False, False)
    with pytest.raises(ProviderUnavailable):
        post_request(url, {})
    with pytest.raises(ConfigurationError, match=r"^SETTING must [^/]+\.$"):
        require_https(url, "SETTING")
    assert not same_origin(url, url)


@pytest.mark.parametrize("url", _GOOD_URLS)
def test_a_good_url_passes_everywhere(url: str) -> None:
    """https anywhere, plain http to this machine."""
    assert require_https(url, "SETTING") == url
    assert get_request(url).url == httpx.URL(url)
    assert same_origin(url, url)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("https://vendor.test", "https://VENDOR.test:443/x?y", True),
        ("http://localhost", "http://localhost:80/", True),
        ("https://vendor.test", "https://vendor.test:444", False),
        ("https://vendor.test", "https://api.vendor.test", False),
        ("https://localhost:80", "http://localhost:80", False),
    ],
)
def test_origins_are_compared_whole(first: str, second: str, same: bool) -> None:
    """Scheme, host and port, with the default port filled in and the host in lower case."""
    assert same_origin(first, second) is same


_BAD_HEADERS = [
    ("x-key", "a\r\nX-Injected: 1"),
    ("x-key", "a\n"),
    ("x-key", " a"),
    ("x-key", "a\x00"),
    ("x-key", "é"),
    ("x key", "a"),
    ("", "a"),
    ("x-kéy", "a"),
    ("x-key\r\nx", "a"),
]


@pytest.mark.parametrize(("name", "value"), _BAD_HEADERS)
def test_a_bad_header_is_refused(name: str, value: str) -> None:
    """Line ends, blanks at the ends, control and non-ASCII characters never leave."""
    with pytest.raises(ProviderUnavailable) as caught:
        get_request("https://vendor.test", headers={name: value})
    assert (caught.value.ambiguous, caught.value.retryable) == (False, False)


@pytest.mark.parametrize("value", ["", "a", "a b\tc", "!~"])
def test_a_good_header_passes(value: str) -> None:
    """Visible ASCII, blanks inside, or nothing at all."""
    request = get_request("https://vendor.test", headers={"X-Key": value})
    assert request.headers["x-key"] == value


@pytest.mark.anyio
@pytest.mark.parametrize(
    "request_",
    [
        httpx.Request("GET", "http://vendor.test/"),
        httpx.Request("GET", "https://user:pass@vendor.test/"),
        httpx.Request("GET", "https://vendor.test/", headers={"x": "a\r\nY: 1"}),
        httpx.Request("GET", "https://vendor.test/", headers=[(b"x", b"\xff")]),
        httpx.Request("GET", "https://vendor.test/", headers=[(b"x y", b"a")]),
    ],
)
async def test_an_exchange_checks_requests_that_others_built(request_: httpx.Request) -> None:
    """No request gets around the rules."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    async with HttpClient(transport=httpx.MockTransport(answer)) as http:
        with pytest.raises(ProviderUnavailable) as caught:
            await http.exchange(request_, deadline=5)
    assert (caught.value.ambiguous, caught.value.retryable) == (False, False)
    assert not sent


@pytest.mark.anyio
async def test_a_large_body_arrives_whole() -> None:
    """A body of many pieces, such as reference audio in base64, is the same on the other side."""
    text = "0123456789" * 120_000
    async with answering(http_reply()) as server, HttpClient() as http:
        await http.exchange(post_request(server.url, text), deadline=10)
    assert server.requests[0].endswith(f'\r\n\r\n"{text}"'.encode())


# --- bodies and queries -------------------------------------------------------------------------------


def test_any_mapping_can_be_sent() -> None:
    """The options of a request may be a read-only view."""
    payload: JsonValue = {"options": MappingProxyType({"rate": 1.5}), "list": (1, None)}
    assert post_request("https://vendor.test", payload).content == (
        b'{"options":{"rate":1.5},"list":[1,null]}'
    )


_ENDLESS: list[JsonValue] = []
_ENDLESS.append(_ENDLESS)


@pytest.mark.parametrize("payload", [float("nan"), float("inf"), "\ud800", _ENDLESS, b"x"])
def test_a_payload_that_is_no_json_is_refused(payload: JsonValue) -> None:
    """Not a number, half a character, a cycle, bytes: refused before sending, without its text."""
    with pytest.raises(ProviderUnavailable) as caught:
        post_request("https://vendor.test", payload)
    assert (caught.value.ambiguous, caught.value.retryable) == (False, False)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("https://vendor.test/s", "https://vendor.test/s?job_id=fc-1+%26"),
        ("https://vendor.test/s?", "https://vendor.test/s?job_id=fc-1+%26"),
        (
            "https://vendor.test/s?sig=a%2Fb%20c",
            "https://vendor.test/s?sig=a%2Fb%20c&job_id=fc-1+%26",
        ),
        ("https://vendor.test/s?a=1#there", "https://vendor.test/s?a=1&job_id=fc-1+%26"),
    ],
)
def test_parameters_are_added_to_the_query(url: str, whole: str) -> None:
    """A query that is there already, signed perhaps, keeps every character."""
    assert str(get_request(url, params={"job_id": "fc-1 &"}).url) == whole


# --- redirects ----------------------------------------------------------------------------------------

_HEADERS = {"Authorization": "a", "Modal-Key": "k", "Cookie": "c", "Accept": "audio/wav"}


def _moved(request: httpx.Request, location: str, status: int = 303) -> Reply:
    return Reply(status, {"location": location}, b"", str(request.url))


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirected_post_becomes_a_get_without_its_body(status: int) -> None:
    """At the same origin our headers go along, and those about the body don't."""
    request = post_request("https://vendor.test/submit", {"text": "x"}, headers=_HEADERS)
    following = redirected(request, _moved(request, "/result?id=1", status))
    assert (following.method, str(following.url)) == ("GET", "https://vendor.test/result?id=1")
    assert following.content == b""
    assert dict(following.headers) == {
        "host": "vendor.test",
        **{name.lower(): value for name, value in _HEADERS.items()},
    }


@pytest.mark.parametrize("elsewhere", ["https://other.test/x", "https://vendor.test:444/x"])
def test_another_origin_gets_no_header_of_ours_but_accept(elsewhere: str) -> None:
    """No key, under whatever name, leaves the origin it was meant for."""
    request = post_request("https://vendor.test/submit", {}, headers=_HEADERS)
    following = redirected(request, _moved(request, elsewhere))
    assert set(following.headers) == {"host", "accept"}
    assert following.headers["host"] == httpx.URL(elsewhere).netloc.decode()


@pytest.mark.parametrize("status", [307, 308])
def test_a_post_is_never_sent_again(status: int) -> None:
    """A 307 or 308 asks to repeat the request: a GET may be, a POST not; whether it was taken is unknown."""
    post = post_request("https://vendor.test/submit", {})
    with pytest.raises(ProviderUnavailable) as caught:
        redirected(post, _moved(post, "/again", status))
    assert caught.value.ambiguous
    get = get_request("https://vendor.test/status")
    assert str(redirected(get, _moved(get, "/again", status)).url) == "https://vendor.test/again"


@pytest.mark.parametrize("location", ["http://127.0.0.1/x", "http://vendor.test/x", "ftp://x/", ""])
def test_a_redirect_that_leads_nowhere_safe_is_refused(location: str) -> None:
    """From https to plain http, even on this machine, or to nothing that may be requested."""
    request = get_request("https://vendor.test/status")
    with pytest.raises(ProviderUnavailable) as caught:
        redirected(request, _moved(request, location))
    assert not caught.value.ambiguous


def test_plain_http_may_redirect_to_plain_http_on_this_machine() -> None:
    """A fake vendor on a loopback port can redirect like a real one."""
    request = get_request("http://127.0.0.1:8000/a")
    following = redirected(request, _moved(request, "http://127.0.0.1:8000/b"))
    assert str(following.url) == "http://127.0.0.1:8000/b"


def test_requests_for_the_same_url_share_nothing_that_changes() -> None:
    """A URL that was seen before is the same URL, and what is done to one request isn't done to another."""
    first, second = (get_request("https://vendor.test/status?job=1") for _ in range(2))
    first.headers["x-changed"] = "1"
    first.url = first.url.copy_with(path="/changed")
    assert str(second.url) == "https://vendor.test/status?job=1"
    assert "x-changed" not in second.headers


def test_a_bad_url_is_refused_each_time() -> None:
    """That it was refused before changes nothing."""
    for _ in range(2):
        with pytest.raises(ProviderUnavailable) as caught:
            get_request("https://user:pass@vendor.test/status")
        assert caught.value.detail == "the URL must not hold a user name or a password"
