"""What holds on every route: who is asking, unknown paths and methods, ids, CORS, and what goes wrong."""

import logging
from collections.abc import AsyncGenerator

import pytest

from tests.contract.world import MISSING_ID, SIGNING_KEY, VOICE, World, a_world
from ttsorch.contract import ClientGone, ContractHandler, Cors, HttpRequest
from ttsorch.contract.handler import ROUTES
from ttsorch.contract.routing import Route
from ttsorch.errors import ConfigurationError, StorageUnavailable
from ttsorch.orchestrator import Orchestrator

pytestmark = pytest.mark.anyio

OWNED = [route for route in ROUTES if not route.public]
GETTABLE = [route for route in ROUTES if route.method == "GET"]
PATHS = sorted({route.path for route in ROUTES})


def _filled(path: str) -> str:
    return path.replace("{id}", MISSING_ID).replace("{key:path}", "a/b/1.wav")


@pytest.mark.parametrize("route", OWNED, ids=lambda route: f"{route.method} {route.path}")
async def test_nobody_gets_in_without_being_known(route: Route) -> None:
    """C3: 401 before anything else is looked at, in two sentences."""
    method, path = route.method, _filled(route.path)
    async with a_world() as world:
        for sent in ({}, {"authorization": ""}, {"authorization": "  "}):
            answer = await world.ask(method, path, owner=None, body=b"{", headers=sent)
            assert (answer.status, answer.detail) == (401, "Missing authorization header")
            assert answer.headers["www-authenticate"] == "Bearer"
        bad = await world.ask(
            method, path, owner=None, body=b"{", headers={"authorization": "Bearer x"}
        )
        assert (bad.status, bad.detail) == (401, "Invalid or expired token")
        await world.assert_nothing_written()


async def test_a_host_may_know_its_users_by_other_means() -> None:
    """A cookie, a client certificate: no Authorization header is needed then."""
    async with a_world() as world:
        answer = await world.ask("GET", "/api/tasks", headers={"authorization": ""})
        assert answer.status == 200


async def test_an_empty_owner_is_nobody() -> None:
    """An empty id must never own anything."""
    async with a_world() as world:
        answer = await world.ask("GET", "/api/tasks", owner="", headers={"authorization": "x"})
        assert (answer.status, answer.detail) == (401, "Invalid or expired token")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/",
        "/api/nothing",
        "/api/health/",
        "/api/tasks/",
        "/api/tasks/a/b",
        "//api/health",
        "/API/health",
        "/api/media/",
        "/api/health\n",
        "/api/\0",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_an_unknown_path_is_not_found(method: str, path: str) -> None:
    """C2: in JSON, with one sentence, whoever asks."""
    async with a_world() as world:
        request = _request(method, path)
        response = await world.handler.handle(request)
        assert response.status == 404
        assert isinstance(response.body, bytes)
        assert b'"detail":"There is nothing at this address."' in response.body


@pytest.mark.parametrize("path", PATHS)
async def test_another_method_is_told_which_are_allowed(path: str) -> None:
    """C2 and RFC 9110: 405 with Allow, before anybody is asked who they are."""
    table = [route.method for route in ROUTES if route.path == path]
    allowed = [*table, "OPTIONS"]
    if "GET" in table:
        allowed.insert(table.index("GET") + 1, "HEAD")
    async with a_world() as world:
        for method in {"PUT", "PATCH", "TRACE", "get", "BREW", ""} - set(table):
            answer = await world.ask(method, _filled(path), owner=None)
            assert (answer.status, answer.detail) == (405, "Method not allowed.")
            assert answer.headers["allow"] == ", ".join(allowed)


@pytest.mark.parametrize("route", GETTABLE, ids=lambda route: str(route.path))
@pytest.mark.parametrize("owner", ["ann", None])
async def test_what_can_be_got_can_be_asked_for_with_head(route: Route, owner: str | None) -> None:
    """RFC 9110, 9.3.2: the same status and length as GET, refusals included, and no body."""
    async with a_world() as world:
        path = _filled(route.path)
        get = await world.ask("GET", path, owner=owner, headers={"x-request-id": "q"})
        head = await world.ask("HEAD", path, owner=owner, headers={"x-request-id": "q"})
        assert (head.status, head.content) == (get.status, b"")
        assert head.headers == get.headers


@pytest.mark.parametrize("path", PATHS)
async def test_options_is_always_a_204(path: str) -> None:
    """C1; and without CORS being configured, no page of another origin is let in."""
    async with a_world() as world:
        answer = await world.ask(
            "OPTIONS", _filled(path), owner=None, headers={"origin": "https://a.example"}
        )
        assert (answer.status, answer.content) == (204, b"")
        allowed = answer.headers.get("access-control-allow-origin")
        assert allowed == ("*" if "media" in path or "uploads" in path else None)


async def test_configured_origins_may_call_and_others_may_not() -> None:
    """C5: the origin is echoed only when it is one of them, on failures too."""
    async with a_world(cors=Cors(("https://a.example",))) as world:
        ours = await world.ask("GET", "/api/health", headers={"origin": "https://a.example"})
        assert ours.headers["access-control-allow-origin"] == "https://a.example"
        assert ours.headers["vary"] == "Origin"
        for origin in ("https://b.example", "null", "https://a.example.evil"):
            other = await world.ask("GET", "/api/health", headers={"origin": origin})
            assert "access-control-allow-origin" not in other.headers
            assert other.headers["vary"] == "Origin"
        for method, path, status in (("GET", "/api/nothing", 404), ("GET", "/api/tasks", 401)):
            failed = await world.ask(
                method, path, owner=None, headers={"origin": "https://a.example"}
            )
            assert failed.status == status
            assert failed.headers["access-control-allow-origin"] == "https://a.example"
        preflight = await world.ask(
            "OPTIONS", "/api/generate", headers={"origin": "https://a.example"}
        )
        assert preflight.headers["access-control-allow-methods"] == "POST, OPTIONS"
        assert "Idempotency-Key" in preflight.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    "origins",
    [
        "https://a.example",
        ("https://a.example/",),
        ("a.example",),
        ("https://A.example",),
        ("https://b.example", ""),
    ],
)
async def test_an_origin_that_no_browser_sends_is_refused(origins: tuple[str, ...]) -> None:
    """It would allow nobody, without a word; and a string alone every part of itself."""
    with pytest.raises(ConfigurationError, match=r"like https://app\.example"):
        Cors(origins)


async def test_any_origin_can_be_allowed() -> None:
    """For an API whose users all bring their own token."""
    async with a_world(cors=Cors(("*",))) as world:
        answer = await world.ask("GET", "/api/health", headers={"origin": "null"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "vary" not in answer.headers


@pytest.mark.parametrize("sent", ["abc-1", "a b", "x" * 128])
async def test_a_request_id_is_echoed(sent: str) -> None:
    """C5."""
    async with a_world() as world:
        answer = await world.ask("GET", "/api/health", headers={"x-request-id": sent})
        assert answer.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "ä", "a\r\nb: c", "\x1b[31m", "\x7f"])
async def test_a_dangerous_request_id_is_replaced(sent: str) -> None:
    """C5: only printable ASCII goes into headers and logs."""
    async with a_world() as world:
        ids = set()
        for _ in range(2):
            answer = await world.ask("GET", "/api/health", headers={"x-request-id": sent})
            ids.add(answer.headers["x-request-id"])
        assert len(ids) == 2
        assert all(len(made) == 32 for made in ids)


async def test_a_long_request_id_is_cut() -> None:
    """C5: capped."""
    async with a_world() as world:
        answer = await world.ask("GET", "/api/nothing", headers={"x-request-id": "x" * 5000})
        assert answer.headers["x-request-id"] == "x" * 128
        assert answer.json["request_id"] == "x" * 128


async def test_json_is_never_kept_or_guessed_at() -> None:
    """Every answer says what it is and that no cache may have it."""
    async with a_world() as world:
        answer = await world.ask("GET", "/api/voices")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-length"] == str(len(answer.content))
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


# --- what goes wrong ----------------------------------------------------------------------------------


def _breaks(patch: pytest.MonkeyPatch, world: World, error: Exception) -> None:
    async def get_generation(generation_id: str, *, owner: str) -> object:
        raise error

    patch.setattr(world.orchestrator, "get_generation", get_generation)


async def test_a_bug_is_a_500_with_a_clean_sentence(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has the traceback under the request id; the client has nothing but that id."""
    async with a_world() as world:
        _breaks(monkeypatch, world, KeyError("password=hunter2"))
        answer = await world.ask(
            "GET", f"/api/generations/{MISSING_ID}/audio", headers={"x-request-id": "q-1"}
        )
        assert answer.status == 500
        assert answer.detail == "Something went wrong on the server. Please try again."
        assert answer.json["code"] == "internal_error"
        assert b"hunter2" not in answer.content
        (record,) = (each for each in caplog.records if each.exc_info)
        assert "q-1" in record.getMessage()


async def test_unavailable_storage_is_a_503_that_says_when_to_retry(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator's detail goes to the log, without its traceback, and not to the client."""
    async with a_world() as world:
        _breaks(monkeypatch, world, StorageUnavailable(detail="disk is full on /mnt/secret"))
        with caplog.at_level(logging.WARNING):
            answer = await world.ask("GET", f"/api/generations/{MISSING_ID}/audio")
        assert (answer.status, answer.json["category"]) == (503, "provider_unavailable")
        assert answer.headers["retry-after"] == "5"
        assert b"secret" not in answer.content
        assert "disk is full" in caplog.text


async def test_a_cause_that_knows_when_to_retry_is_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rounded up to whole seconds, at least one."""
    async with a_world() as world:
        for seconds, header in ((0.2, "1"), (2.0, "2"), (2.1, "3")):
            _breaks(monkeypatch, world, StorageUnavailable(retry_after=seconds))
            answer = await world.ask("GET", f"/api/generations/{MISSING_ID}/audio")
            assert answer.headers["retry-after"] == header


async def test_a_path_can_not_forge_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """Control characters are escaped, and long paths cut."""
    async with a_world() as world:
        world.handler = ContractHandler(_no_mode, signing_key=SIGNING_KEY)
        path = "/api/tasks/a\nFAKE LINE\x1b[31m" + "x" * 5000
        await world.handler.handle(_request("GET", path))
        (record,) = (each for each in caplog.records if each.name == "ttsorch.contract")
        line = record.getMessage()
        assert "\n" not in line
        assert "\x1b" not in line
        assert len(line) < 500


def _no_mode() -> Orchestrator:
    raise ConfigurationError("Invalid TTS_PROVIDER_MODE: x. Expected one of: local")


async def test_a_client_that_left_is_not_answered() -> None:
    """The adapter hears of it; no row was written."""

    async def body() -> AsyncGenerator[bytes, None]:
        yield b'{"voice_id": "' + VOICE.encode()
        raise ClientGone

    async with a_world() as world:
        request = HttpRequest("POST", "/api/generate", "", {}, body(), _ann)
        with pytest.raises(ClientGone):
            await world.handler.handle(request)
        await world.assert_nothing_written()


async def _ann() -> str:
    return "ann"


async def _nothing() -> AsyncGenerator[bytes, None]:
    yield b""


def _request(method: str, path: str) -> HttpRequest:
    return HttpRequest(method, path, "", {}, _nothing(), _ann)
