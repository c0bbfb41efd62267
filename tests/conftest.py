"""Fixtures that every test may use."""

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Async tests marked ``anyio`` run once on each event loop that the library supports."""
    backend: str = request.param
    return backend
