"""C7: another owner's row looks exactly like a missing one, also to who counts statements."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.test_design import A_FORM, save
from tests.contract.world import A_CLONE, MISSING_ID, VOICE, Answer, World, a_world
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.fake_voices import FakeDesigningJobProvider
from ttsorch.testing.speech import tone_wav

pytestmark = pytest.mark.anyio

#: Of the request alone, so that two answers can be compared to the byte.
SAME_ID = {"x-request-id": "same"}
_NAMES = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64}|[0-9a-f]{32}|not-an-id"
)
_LITERALS = re.compile(r"--[^\n]*|'(?:[^']|'')*'|\d+")


@pytest.fixture(params=["memory", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "tasks.db" if request.param == "sqlite" else None


@dataclass(frozen=True)
class Ids:
    """One of everything that has an id. ``upload`` is a voice that was not made yet."""

    task: str = MISSING_ID
    generation: str = MISSING_ID
    voice: str = MISSING_ID
    upload: str = MISSING_ID
    preview: str = MISSING_ID
    cancelled: str = MISSING_ID


MALFORMED = Ids(*["not-an-id"] * 6)


async def everything_of(world: World, *, finished: bool) -> Ids:
    """Ann has done everything that one can do."""
    task, generation = await (world.finish if finished else world.generate)()
    cancelled, _ = await world.generate("Not this.")
    await world.ask("POST", f"/api/tasks/{cancelled}/cancel")
    preview = await (world.previewed if finished else world.preview)()
    if finished:
        saved = await save(world, {**A_FORM, "task_id": preview})
        assert saved.status == 200
    return Ids(
        task, generation, await world.clone(), await world.upload(tone_wav()), preview, cancelled
    )


async def all_of(world: World, owner: str) -> tuple[object, ...]:
    """All that an owner has, to the last field."""
    history = await world.store.list_generations(owner, per_page=100)
    voices = await world.store.list_voices(owner, per_page=100)
    blobs = [blob async for blob in world.blobs.list("")]
    return await world.jobs(owner), history, voices, blobs, world.provider.ledger


# --- the rows -----------------------------------------------------------------------------------------

Row = Callable[[World, Ids, str], Awaitable[Answer]]


def _path(method: str, path: str) -> Row:
    async def ask(world: World, ids: Ids, owner: str) -> Answer:
        target = path.format_map(vars(ids))
        return await world.ask(method, target, owner=owner, headers=SAME_ID)

    return ask


def _finalize(which: str) -> Row:
    async def ask(world: World, ids: Ids, owner: str) -> Answer:
        send = {**A_CLONE, "voice_id": getattr(ids, which)}
        path = "/api/clone/finalize"
        return await world.ask("POST", path, owner=owner, send=send, headers=SAME_ID)

    return ask


def _save(which: str, audio: bytes | None = None) -> Row:
    async def ask(world: World, ids: Ids, owner: str) -> Answer:
        fields = {**A_FORM, "task_id": getattr(ids, which)}
        return await save(world, fields, audio, owner=owner, headers=SAME_ID)

    return ask


async def _generate(world: World, ids: Ids, owner: str) -> Answer:
    send = {"voice_id": ids.voice, "text": "Hello"}
    return await world.ask("POST", "/api/generate", owner=owner, send=send, headers=SAME_ID)


async def _generate_again(world: World, ids: Ids, owner: str) -> Answer:
    send = {"voice_id": ids.voice, "text": "Hello"}
    headers = {**SAME_ID, "idempotency-key": "k"}
    return await world.ask("POST", "/api/generate", owner=owner, send=send, headers=headers)


ROWS: dict[str, Row] = {
    "R3": _generate,
    "R3 with a key": _generate_again,
    "R4": _path("GET", "/api/tasks/{task}"),
    "R4 of a preview": _path("GET", "/api/tasks/{preview}"),
    "R4 of what was cancelled": _path("GET", "/api/tasks/{cancelled}"),
    "R5": _path("POST", "/api/tasks/{task}/cancel"),
    "R5 of a preview": _path("POST", "/api/tasks/{preview}/cancel"),
    "R5 of what was cancelled": _path("POST", "/api/tasks/{cancelled}/cancel"),
    "R6": _path("DELETE", "/api/tasks/{task}"),
    "R6 of a preview": _path("DELETE", "/api/tasks/{preview}"),
    "R8": _path("GET", "/api/generations/{generation}/audio"),
    "R9": _path("DELETE", "/api/generations/{generation}"),
    "R10": _path("POST", "/api/generations/{generation}/regenerate"),
    "R12": _path("GET", "/api/voices/{voice}/preview"),
    "R13": _path("DELETE", "/api/voices/{voice}"),
    "R15": _finalize("voice"),
    "R15 of an upload": _finalize("upload"),
    "R17": _save("preview"),
    "R17 with audio": _save("preview", tone_wav()),
    "R17 of speech": _save("task"),
}
#: What a missing row of each is answered with; 404 where nothing else is said.
STATUS = {"R15": 400, "R15 of an upload": 400}


# --- what an answer costs -----------------------------------------------------------------------------


class Watch:
    """Every call of the task store and the blob store, and every SQL statement, in order. What differs from
    one request to the next anyhow (an id) is left out."""

    def __init__(self, world: World) -> None:
        self.seen: list[str] = []
        for port in (world.store, world.blobs):
            for name in dir(port):
                if not name.startswith("_") and name not in ("now", "aclose", "open"):
                    self._wrap(port, name, shown=port is world.blobs)
        self._wrap(world.blobs, "open", shown=True)
        if isinstance(world.store, SqliteTaskStore):
            for thread in (world.store._writer, world.store._reader):
                thread._connection.set_trace_callback(self._note)

    def _wrap(self, port: object, name: str, *, shown: bool) -> None:
        method = getattr(port, name)

        def call(*args: object, **kwargs: object) -> object:
            self._note(f"{name} {args if shown else ''}")
            return method(*args, **kwargs)

        setattr(port, name, call)

    def _note(self, what: str) -> None:
        self.seen.append(_NAMES.sub("<id>", what))

    def take(self) -> list[str]:
        taken, self.seen = self.seen, []
        return taken


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "unfinished"])
async def test_a_foreign_row_and_a_missing_one_can_not_be_told_apart(
    database: Path | None, finished: bool
) -> None:
    """Same status, body, headers, statements and blobs looked at, on every row; nothing of hers changes."""
    async with a_world(FakeDesigningJobProvider(), database=database) as world:
        hers = await everything_of(world, finished=finished)
        before = await all_of(world, "ann")
        watch = Watch(world)
        for name, row in ROWS.items():
            foreign, foreign_cost = await row(world, hers, "bob"), watch.take()
            missing, missing_cost = await row(world, Ids(), "bob"), watch.take()
            assert foreign == missing, name
            assert foreign.status == STATUS.get(name, 404), name
            assert isinstance(foreign.detail, str)
            assert foreign_cost == missing_cost != [], name
            assert await all_of(world, "ann") == before, name
            watch.take()


async def test_a_malformed_id_is_answered_like_a_missing_one(database: Path | None) -> None:
    """404, with no statement at all; only generate says 400 (C7)."""
    async with a_world(FakeDesigningJobProvider(), database=database) as world:
        watch = Watch(world)
        for name, row in ROWS.items():
            missing = await row(world, Ids(), "bob")
            watch.take()
            malformed = await row(world, MALFORMED, "bob")
            if row in (_generate, _generate_again):
                assert (malformed.status, malformed.detail) == (400, "Invalid voice_id")
            else:
                assert malformed == missing, name
            assert watch.take() == [], name


#: What still works when the row itself is gone, because the contract says so.
OUTLIVES = ("R13", "R15", "R15 of an upload", "R17", "R17 with audio")


async def test_a_deleted_row_is_a_missing_one_for_everybody(database: Path | None) -> None:
    """Also for her who deleted it; and whatever it was, it leaves no trace that another can see."""
    async with a_world(FakeDesigningJobProvider(), database=database) as world:
        hers = await everything_of(world, finished=True)
        for path in (
            "tasks/{task}",
            "tasks/{preview}",
            "tasks/{cancelled}",
            "generations/{generation}",
        ):
            assert (await _path("DELETE", f"/api/{path}")(world, hers, "ann")).status == 200
        assert (await ROWS["R13"](world, hers, "ann")).status == 200
        watch = Watch(world)
        for owner in ("ann", "bob"):
            for name, row in ROWS.items():
                if owner == "ann" and name in OUTLIVES:
                    continue
                deleted, cost = await row(world, hers, owner), watch.take()
                missing, missing_cost = await row(world, Ids(), owner), watch.take()
                assert deleted == missing, (owner, name)
                # Her own deleted task is still looked at where a design is saved.
                assert owner == "ann" or cost == missing_cost, (owner, name)


async def test_a_foreign_key_is_an_unused_one(database: Path | None) -> None:
    """R3, R16: another body under it is no conflict, and costs what any new request costs."""
    async with a_world(FakeDesigningJobProvider(), database=database) as world:
        for path, send in (
            ("/api/generate", {"voice_id": VOICE, "text": "Hello"}),
            ("/api/voices/design/preview", {"text": "Hi", "language": "Auto", "instruct": "Calm."}),
        ):
            for key in ("hers", "hers-too"):
                await world.ask(
                    "POST",
                    path,
                    send={**send, "text": "Mine."},
                    headers={"idempotency-key": key + path[-4:]},
                )
            before = await all_of(world, "ann")
            watch = Watch(world)
            seen = []
            for key in ("hers", "mine"):
                headers = {**SAME_ID, "idempotency-key": key + path[-4:]}
                answer = await world.ask("POST", path, owner="bob", send=send, headers=headers)
                assert answer.status == 200
                # The rows that are written differ in the names that everything has.
                cost = [_LITERALS.sub("?", step) for step in watch.take()]
                seen.append((answer.json.keys(), cost))
            assert seen[0] == seen[1]
            assert (await all_of(world, "ann"))[:3] == before[:3]


@pytest.mark.parametrize("path", ["/api/tasks?status=all", "/api/generations", "/api/voices"])
async def test_no_listing_shows_anything_of_another_owner(path: str, database: Path | None) -> None:
    """Nothing in the body, not even in a count; nor in what it costs."""
    async with a_world(FakeDesigningJobProvider(), database=database) as world:
        watch = Watch(world)
        empty = await world.ask("GET", path, owner="bob", headers=SAME_ID)
        cost = watch.take()
        await everything_of(world, finished=True)
        watch.take()
        assert await world.ask("GET", path, owner="bob", headers=SAME_ID) == empty
        assert watch.take() == cost
