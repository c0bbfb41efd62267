"""Schemathesis, with all of its checks, against the reference server as a process of its own: whatever it is
sent, it answers as the document says, and never with an error of its own.

Against the embedded engine, and as a client of the fakes of Modal and Qwen, where voices can be made.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.openapi.access_log import answers
from tests.openapi.fuzzing import Report, Target, chains, fuzz, narrowed
from tests.openapi.knowing import prepared
from tests.server.running import Running, running
from tests.server.vendors import beside
from ttsorch.contract.handler import ROUTES
from ttsorch.testing.fake_dashscope import fake_dashscope
from ttsorch.testing.fake_modal import fake_modal

TOKENS = {"ann": "token-of-ann", "bob": "token-of-bob"}
#: More would only keep the engine busy with texts that nobody listens to.
ACTIVE_JOBS = "30"

#: In seconds; a quarter of a minute where nothing else runs.
PATIENCE = 300

#: What takes away what is known, or comes too late for it: only chains have something to try these on.
ENDING = {
    ("POST", "/api/tasks/{id}/cancel"),
    ("DELETE", "/api/tasks/{id}"),
    ("DELETE", "/api/generations/{id}"),
    ("DELETE", "/api/voices/{id}"),
}

EXAMPLES = 300
#: Schemathesis ends some runs before it has followed as many chains as it was asked for.
_MANY_SEEDS = 100


@contextmanager
def serving(mode: str, folder: Path, **vendor: str) -> Iterator[tuple[Running, Target]]:
    settings = {
        "TTS_PROVIDER_MODE": mode,
        "TTSORCH_TOKENS": ",".join(f"{token}={owner}" for owner, token in TOKENS.items()),
        "TTSORCH_MAX_ACTIVE_JOBS": ACTIVE_JOBS,
        **vendor,
    }
    with running(folder, **settings) as server, server.client(TOKENS["ann"]) as client:
        known = prepared(client, makes_voices=mode != "local")
        document = narrowed(client, known)
        yield server, Target(server.address, TOKENS, "ann", known, document)


@pytest.fixture(scope="module")
def vendors() -> Iterator[Mapping[str, Mapping[str, str]]]:
    """The settings that lead to each mode's vendor."""
    with beside(fake_modal()) as modal, beside(fake_dashscope()) as qwen:
        yield {"local": {}, "modal": modal.environ(), "qwen": qwen.environ()}


@pytest.fixture
def server(
    mode: str, vendors: Mapping[str, Mapping[str, str]], tmp_path: Path
) -> Iterator[tuple[Running, Target]]:
    with serving(mode, tmp_path, **vendors[mode]) as served:
        yield served


def check(report: Report, log: Path) -> None:
    """Nothing found, and nothing in the server's own log either."""
    assert report.status == 0, report.words
    broken = [answer for answer in answers(log) if answer[2] >= "500"]
    assert broken == [], report.words


def requests_to(log: Path, method: str, path: str) -> int:
    return sum(n for (m, p, _), n in answers(log).items() if (m, p) == (method, path))


def unserved(log: Path) -> set[tuple[str, str]]:
    """The routes that were only ever refused."""
    served = {(method, path) for method, path, status in answers(log) if status < "400"}
    return {(route.method, route.path) for route in ROUTES} - served


# --- some, with every run of the tests ----------------------------------------------------------------


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("mode", ["local", "modal"])
def test_made_up_requests_are_answered_as_documented(
    server: tuple[Running, Target], tmp_path: Path
) -> None:
    """Every edge that the schemas have, and a few random requests for each operation."""
    running, target = server
    report = fuzz(target, tmp_path, examples=3)
    check(report, running.log)
    for route in ROUTES:
        assert requests_to(running.log, route.method, route.path) > 3


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("mode", ["modal"])
def test_chains_of_requests_are_answered_as_documented(
    server: tuple[Running, Target], tmp_path: Path
) -> None:
    """A few steps along the links, from a voice to its speech and to the end of its task."""
    running, target = server
    report = chains(target, tmp_path, scenarios=10, seed=1)
    check(report, running.log)
    assert report.links >= 5


# --- many ---------------------------------------------------------------------------------------------


@pytest.mark.deep
@pytest.mark.parametrize("mode", ["local", "modal", "qwen"])
def test_hundreds_of_made_up_requests_are_answered_as_documented(
    mode: str, server: tuple[Running, Target], tmp_path: Path
) -> None:
    """At least 300 for each operation, those of HEAD and OPTIONS too."""
    running, target = server
    report = fuzz(target, tmp_path, examples=EXAMPLES)
    check(report, running.log)
    for route in ROUTES:
        assert requests_to(running.log, route.method, route.path) >= EXAMPLES, route
    if mode != "local":
        assert unserved(running.log) <= ENDING


@pytest.mark.deep
@pytest.mark.parametrize("mode", ["local", "modal", "qwen"])
def test_hundreds_of_chains_are_answered_as_documented(
    mode: str, server: tuple[Running, Target], tmp_path: Path
) -> None:
    """At least 300, over most of the links, by two users who never see each other's."""
    running, target = server
    followed, links = 0, 0
    for seed in range(_MANY_SEEDS):
        report = chains(target, tmp_path, scenarios=EXAMPLES, seed=seed)
        check(report, running.log)
        followed, links = followed + report.scenarios, max(links, report.links)
        if followed >= EXAMPLES:
            break
    assert followed >= EXAMPLES
    assert links >= 10
    if mode == "modal":
        # The others have ended before anybody can cancel them.
        assert not ENDING & unserved(running.log)
