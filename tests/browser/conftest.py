"""One server of each mode, one browser per module, one fresh browser context per person, and an eye on all
of them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ViewportSize

from tests.browser.chromium import chromium
from tests.browser.hearing import listen
from tests.browser.stages import CLIP, MODES, Stage, staged
from tests.browser.visitor import DESKTOP, Visitor
from tests.browser.watching import Watch

Visits = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Stage]]:
    """The server of each mode, started when it is first asked for."""
    started: dict[str, Stage] = {}
    with ExitStack() as stack:

        def stage(mode: str) -> Stage:
            if mode not in started:
                folder = tmp_path_factory.mktemp(mode)
                started[mode] = stack.enter_context(staged(mode, folder))
            return started[mode]

        yield stage


@pytest.fixture(params=MODES)
def stage(request: pytest.FixtureRequest, stages: Callable[[str], Stage]) -> Iterator[Stage]:
    """Each mode in turn, with an owner of this test's own."""
    chosen = stages(request.param)
    chosen.new_owner()
    yield chosen
    chosen.vendor.release()


@pytest.fixture
def local(stages: Callable[[str], Stage]) -> Stage:
    """The mode with more than a hundred voices of its own, and none of anybody's."""
    chosen = stages("local")
    chosen.new_owner()
    return chosen


@pytest.fixture
def modal(stages: Callable[[str], Stage]) -> Iterator[Stage]:
    """The mode in which a test has every job in its hand."""
    chosen = stages("modal")
    chosen.new_owner()
    yield chosen
    chosen.vendor.release()


@pytest.fixture(scope="session")
def open_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A local server that wants no token, as `make demo` starts it."""
    with staged("local", tmp_path_factory.mktemp("open"), with_tokens=False) as stage:
        yield stage


@pytest.fixture
def visits(browser: Browser) -> Iterator[Visits]:
    """Opens the page for somebody; afterwards nothing may have gone wrong in any of their browsers."""
    watches: list[Watch] = []
    with ExitStack() as stack:

        def visit(
            stage: Stage, *, origin: str | None = None, size: ViewportSize = DESKTOP
        ) -> Visitor:
            context = browser.new_context(viewport=size, locale="en-US")
            stack.callback(context.close)
            watch = Watch(context, origin or stage.address)
            watches.append(watch)
            page = context.new_page()
            listen(page)
            return Visitor(page, watch, stage.token or None)

        yield visit
        trouble = [line for watch in watches for line in watch.trouble]
    assert not trouble, "\n".join(trouble)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A recording to clone a voice from."""
    path = tmp_path / "reading.wav"
    path.write_bytes(CLIP)
    return path
