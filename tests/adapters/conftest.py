"""Every test here that asks for ``served`` runs once in each framework."""

from collections.abc import Iterator

import pytest

from tests.adapters.frameworks import FRAMEWORKS, Serve, Served, asked_in
from tests.contract.world import a_world


@pytest.fixture(params=list(FRAMEWORKS))
def framework(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def serve(framework: str) -> Serve:
    """For a test that needs a world of its own, or a prefix."""
    asked_in.clear()
    return FRAMEWORKS[framework]


@pytest.fixture
def served(serve: Serve) -> Iterator[Served]:
    """A fresh world, and a server over it."""
    with serve(a_world, "") as opened:
        yield opened
