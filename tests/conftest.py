"""Fixtures that every test may use."""

import signal

import pytest

# The shipped suites are not test files, so pytest has to be told to explain their assertions too.
pytest.register_assert_rewrite("ttsorch.testing")


# A job in the background of a script has SIGINT ignored, and hands that down to what it starts. The tests
# are about what an interrupt does, wherever they are run.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Async tests marked ``anyio`` run once on each event loop that the library supports."""
    backend: str = request.param
    return backend
