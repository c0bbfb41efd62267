"""POST /api/generate never answers 200 unless both rows are committed, whatever breaks on the way."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tests.contract.world import SIGNING_KEY, VOICE, Answer, Fake, World, a_world
from tests.orchestrator.world import POLICY, crashing
from ttsorch.contract import ContractHandler
from ttsorch.orchestrator import Orchestrator
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider
from ttsorch.testing.faults import Fault, FaultPlan, faulty

pytestmark = pytest.mark.anyio

PROVIDERS: list[Callable[[], Fake]] = [FakeJobProvider, FakeDirectProvider]
#: More calls than one request makes.
MOST_PLACES = 20


@pytest.fixture
def database(anyio_backend: str, tmp_path: Path) -> Path | None:
    """One event loop with each kind of store."""
    return tmp_path / "tasks.db" if anyio_backend == "asyncio" else None


@asynccontextmanager
async def _worker(world: World, plan: FaultPlan) -> AsyncIterator[None]:
    """Requests go to a worker whose every call to the store, the blobs and the provider may break."""
    tasks = faulty(world.store, plan)
    async with Orchestrator(
        provider=faulty(world.provider, plan),
        tasks=tasks,
        voices=tasks,
        blobs=faulty(world.blobs, plan),
        policy=POLICY,
        background=False,
    ) as orchestrator:
        sound, world.handler = world.handler, ContractHandler(orchestrator, signing_key=SIGNING_KEY)
        try:
            yield
        finally:
            world.handler = sound


async def _generate(world: World) -> Answer:
    return await world.ask(
        "POST",
        "/api/generate",
        send={"voice_id": VOICE, "text": "Hello."},
        headers={"idempotency-key": "k"},
    )


async def _broken(world: World, plan: FaultPlan) -> Answer | None:
    """The answer; None if the client got none, because the worker died or the client left."""
    answer = None
    async with crashing(), _worker(world, plan):
        with anyio.CancelScope() as scope:
            plan.scope = scope
            answer = await _generate(world)
    return answer


async def _check_committed(world: World, answer: Answer) -> None:
    """Both rows, as any other worker sees them."""
    task = await world.poll(str(answer.json["task_id"]))
    assert task["generation_id"] == answer.json["generation_id"]
    line = (await world.ask("GET", "/api/generations")).only("generations")
    assert (line["id"], line["text"]) == (answer.json["generation_id"], "Hello.")


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_no_fault_makes_a_200_without_both_rows(
    database: Path | None, provider: Callable[[], Fake], fault: Fault
) -> None:
    """Every call of the request is broken once, in every way: a 200 means two rows, any other answer is a
    5xx in the contract's shape, and the repeated request finds or makes the one job."""
    broken = []
    for place in range(1, MOST_PLACES):
        plan = FaultPlan(fault, at=place)
        path = database and database.with_name(f"{place}.db")
        async with a_world(provider(), database=path) as world:
            answer = await _broken(world, plan)
            if answer is not None and answer.status == 200:
                await _check_committed(world, answer)
            elif answer is not None:
                assert answer.status in (502, 503), (plan.broken, answer)
                assert isinstance(answer.detail, str)
            jobs = await world.jobs()
            assert all(job.generation is not None for job in jobs)
            assert (await world.store.list_generations("ann")).total == len(jobs) <= 1
            again = await _generate(world)
            assert again.status in (200, 502)
            if again.status == 200:
                await _check_committed(world, again)
            assert world.provider.ledger.submits <= 1
        if not plan.struck:
            break
        broken.append(plan.broken)
    assert "create" in broken
    assert not plan.struck


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("table", ["tasks", "generations"])
async def test_one_row_without_the_other_is_none(
    tmp_path: Path, provider: Callable[[], Fake], table: str
) -> None:
    """The database refuses the second insert (or the first): 503, and neither row is there."""
    async with a_world(provider(), database=tmp_path / "tasks.db") as world:
        assert isinstance(world.store, SqliteTaskStore)
        trigger = f"CREATE TEMP TRIGGER full BEFORE INSERT ON main.{table} "
        refusing = trigger + "BEGIN SELECT RAISE(ABORT, 'no'); END"
        await world.store._writer.run(lambda db: db.execute(refusing))
        answer = await _generate(world)
        assert (answer.status, answer.json["code"]) == (503, "storage_unavailable")
        assert "retry-after" in answer.headers
        await world.assert_nothing_written()
        await world.store._writer.run(lambda db: db.execute("DROP TRIGGER full"))
        again = await _generate(world)
        assert again.status == 200
        await _check_committed(world, again)


async def test_a_worker_that_died_while_it_asked_has_left_the_first_answer(
    database: Path | None,
) -> None:
    """The rows were there before the call: the repeated request is answered from them, before and after
    the dead worker's lease has run out, and nobody is asked again."""
    plan = FaultPlan(Fault.CRASH)
    async with a_world(database=database) as world:
        while plan.broken != "submit":
            plan = FaultPlan(Fault.CRASH, at=plan.at + 1)
            assert plan.at < MOST_PLACES
            assert await _broken(world, plan) is None
        (job,) = await world.jobs()
        for seconds in (0, 60):
            world.clock.advance(seconds)
            again = await _generate(world)
            assert (again.status, again.json["task_id"]) == (200, job.task.id)
        assert await world.jobs() == [job]
        assert world.provider.ledger.submits == 0
