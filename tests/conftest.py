"""Fixtures that every test may use."""

import pytest

# The shipped suites are not test files, so pytest has to be told to explain their assertions too.
pytest.register_assert_rewrite("ttsorch.testing")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Async tests marked ``anyio`` run once on each event loop that the library supports."""
    backend: str = request.param
    return backend
