"""C7: another owner's row looks exactly like a missing one, also to who counts statements."""

from collections.abc import Callable

import pytest

from tests.contract.world import MISSING_ID, VOICE, World, a_world
from ttsorch.testing.fakes import FakeJobProvider

pytestmark = pytest.mark.anyio

ROUTES = [
    ("GET", "/api/tasks/{task}"),
    ("DELETE", "/api/tasks/{task}"),
    ("POST", "/api/tasks/{task}/cancel"),
    ("GET", "/api/generations/{generation}/audio"),
    ("DELETE", "/api/generations/{generation}"),
    ("POST", "/api/generations/{generation}/regenerate"),
]


def _count_statements(world: World) -> list[str]:
    """The names of the store's methods as they are called from now on."""
    called: list[str] = []

    def counted(name: str, method: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            called.append(name)
            return method(*args, **kwargs)

        return call

    for name in dir(world.store):
        if not name.startswith("_") and name not in ("now", "aclose"):
            setattr(world.store, name, counted(name, getattr(world.store, name)))
    return called


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_foreign_row_and_a_missing_one_can_not_be_told_apart(
    method: str, path: str, finished: bool
) -> None:
    """Same status, same body, same headers, same statements; and the row is untouched."""
    async with a_world(FakeJobProvider(checks_until_ready=1)) as world:
        task, generation = await (world.finish if finished else world.generate)()
        (before,) = await world.jobs()
        called = _count_statements(world)
        headers = {"x-request-id": "same"}
        foreign = await world.ask(
            method, path.format(task=task, generation=generation), owner="bob", headers=headers
        )
        foreign_calls = called.copy()
        called.clear()
        missing = await world.ask(
            method,
            path.format(task=MISSING_ID, generation=MISSING_ID),
            owner="bob",
            headers=headers,
        )
        assert foreign == missing
        assert foreign.status == 404
        assert foreign_calls == called != []
        assert (await world.jobs()) == [before]


async def test_a_foreign_voice_and_a_missing_one_can_not_be_told_apart() -> None:
    """On generate, where the voice is looked up."""
    async with a_world() as world:
        foreign_id = VOICE.replace("9", "8")
        await world.add_voice(foreign_id, "Theirs", owner="bob")
        called = _count_statements(world)
        seen = []
        for voice_id in (foreign_id, MISSING_ID):
            answer = await world.ask(
                "POST",
                "/api/generate",
                send={"voice_id": voice_id, "text": "Hello"},
                headers={"x-request-id": "same"},
            )
            seen.append((answer, called.copy()))
            called.clear()
        assert seen[0] == seen[1]
        assert seen[0][0].status == 404


@pytest.mark.parametrize("path", ["/api/tasks?status=all", "/api/generations", "/api/voices"])
async def test_no_listing_shows_anything_of_another_owner(path: str) -> None:
    """Nothing in the body, not even in a count."""
    async with a_world() as world:
        headers = {"x-request-id": "same"}
        empty = await world.ask("GET", path, owner="bob", headers=headers)
        await world.finish()
        await world.add_voice(MISSING_ID, "Mine")
        assert await world.ask("GET", path, owner="bob", headers=headers) == empty
