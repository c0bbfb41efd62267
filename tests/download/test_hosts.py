"""Which URLs may be asked, and what they become."""

import httpx
import pytest

from tests.download.corpus import URLS
from ttsorch._download.hosts import HostRules
from ttsorch._http.origin import UnsafeUrl
from ttsorch.errors import ConfigurationError

RULES = HostRules(
    ["api.example.com", "*.aliyuncs.com"],
    ["127.0.0.1:8080", "[::1]:8080", "box.lan:80", "box.lan:8443", "box.lan:65535", "[1::2::3]:80"],
)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://api.example.com/a?b=%20c%2F", "https://api.example.com/a?b=%20c%2F"),
        ("https://API.Example.com:443/", "https://api.example.com/"),
        ("HTTPS://api.example.com/?x", "https://api.example.com/?x"),
        ("https://api.example.com/#@evil.test", "https://api.example.com/#@evil.test"),
        ("https://api.example.com/@evil.test", "https://api.example.com/@evil.test"),
        ("https://oss.aliyuncs.com/a", "https://oss.aliyuncs.com/a"),
        ("https://b.oss-cn-beijing.aliyuncs.com/a", "https://b.oss-cn-beijing.aliyuncs.com/a"),
        ("http://api.example.com/a", "https://api.example.com/a"),
        ("http://api.example.com:80?a", "https://api.example.com?a"),
        ("http://127.0.0.1:8080/a", "http://127.0.0.1:8080/a"),
        ("https://127.0.0.1:8080/a", "https://127.0.0.1:8080/a"),
        ("http://[::1]:8080/a", "http://[::1]:8080/a"),
        ("http://box.lan/a", "http://box.lan/a"),
        ("https://BOX.lan:8443/a", "https://box.lan:8443/a"),
    ],
)
def test_an_allowed_url(url: str, asked: str) -> None:
    """Listed hosts by https, private places as given, and plain http raised to https everywhere else."""
    assert str(RULES.vet(url)) == asked


@pytest.mark.parametrize(
    "url",
    [
        *URLS,
        "https://aliyuncs.com/",
        "https://evil-aliyuncs.com/",
        "https://aliyuncs.com.evil.test/",
        "https://oss.aliyuncs.com.evil.test/",
        "https://.aliyuncs.com/",
        "https://a..aliyuncs.com/",
        "https://-.aliyuncs.com/",
        "https://oss.aliyuncs.com./",
        f"https://{'a.' * 200}aliyuncs.com/",
        f"https://{'a' * 64}.aliyuncs.com/",
        "https://x.api.example.com/",
        "https://api.example.com.:443/",
        "https://api.example.com:8443/",
        "https://api.example.com:80/",
        "http://api.example.com:443/",
        "http://api.example.com:8080/",
        "http://127.0.0.1:8081/",
        "http://127.0.0.1/",
        "http://127.1:8080/",
        "http://2130706433:8080/",
        "http://[0:0:0:0:0:0:0:1]:8080/",
        "https://box.lan/",
        "http://box.lan:8081/",
        "http://[1::2::3]/",
        "https://api.example.com/" + "a" * 20_000,
    ],
)
def test_a_refused_url(url: str) -> None:
    """Near misses of what is listed, and everything in the corpus; the refusal doesn't repeat the URL."""
    with pytest.raises(UnsafeUrl) as caught:
        RULES.vet(url)
    assert url not in str(caught.value) or not url
    assert "example.com" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/b?c", "https://api.example.com/b?c"),
        ("b", "https://api.example.com/a/b"),
        ("?c", "https://api.example.com/a/?c"),
        ("//oss.aliyuncs.com/b", "https://oss.aliyuncs.com/b"),
        ("https://oss.aliyuncs.com/b", "https://oss.aliyuncs.com/b"),
        ("https://127.0.0.1:8080/b", "https://127.0.0.1:8080/b"),
    ],
)
def test_an_allowed_redirect(location: str, asked: str) -> None:
    """Relative or absolute, it is judged like any other URL."""
    assert str(RULES.vet_redirect(httpx.URL("https://api.example.com/a/"), location)) == asked


@pytest.mark.parametrize(
    "location",
    [
        "http://api.example.com/",
        "HTTP://oss.aliyuncs.com/",
        "http://127.0.0.1:8080/",
        "//evil.test/",
        "https:/b",
        "https:b",
        "https:///b",
        "\\\\evil.test/",
        "/\\evil.test/",
        "/a b",
        "/é",
        "//[",
        "//api.example.com:x/",
    ],
)
def test_a_refused_redirect(location: str) -> None:
    """From https never to http, not even to a private place; nothing that can be read in two ways."""
    with pytest.raises(UnsafeUrl):
        RULES.vet_redirect(httpx.URL("https://api.example.com/a/"), location)


def test_a_redirect_from_plain_http_is_raised_too() -> None:
    """A private place may send on to a listed host, which is asked by https whatever the scheme says."""
    target = RULES.vet_redirect(httpx.URL("http://127.0.0.1:8080/"), "http://api.example.com/b")
    assert str(target) == "https://api.example.com/b"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "*",
        "*.com",
        "https://a.test",
        "a.test:443",
        "a.test/",
        "*a.test",
        "a.*.test",
        "a b",
        ".a.test",
    ],
)
def test_a_malformed_host(host: str) -> None:
    """The setting is named, its value isn't."""
    with pytest.raises(ConfigurationError, match=r"^hosts must be names") as caught:
        HostRules([host], [])
    assert caught.value.field == "hosts"


@pytest.mark.parametrize(
    "place",
    [
        "",
        "a.test",
        "http://a.test:80",
        "a.test:",
        "a.test:0",
        "::1:80",
        "*.a:1",
        "a:65536",
        "a:99999",
    ],
)
def test_a_malformed_private_place(place: str) -> None:
    """The setting is named, its value isn't."""
    with pytest.raises(ConfigurationError, match=r"^private must be") as caught:
        HostRules([], [place])
    assert caught.value.field == "private"
