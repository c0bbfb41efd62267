"""Fixtures that every test may use."""

import gc
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The shipped suites are not test files, so pytest has to be told to explain their assertions too.
pytest.register_assert_rewrite("ttsorch.testing")


# A job in the background of a script has SIGINT ignored, and hands that down to what it starts. The tests
# are about what an interrupt does, wherever they are run.
signal.signal(signal.SIGINT, signal.default_int_handler)


# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """The tests themselves are never garbage: nobody has to look through them for it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def no_litter() -> Iterator[None]:
    """What a module forgot to close is that module's failure, not the failure of whoever is running when the
    collector happens to come by."""
    yield
    gc.collect()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Async tests marked ``anyio`` run once on each event loop that the library supports."""
    backend: str = request.param
    return backend
