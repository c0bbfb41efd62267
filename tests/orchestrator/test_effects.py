"""The outbox: whoever must know that a task ended is told at least once, whatever breaks in between."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio
import pytest

from tests.orchestrator.world import OWNER, POLICY, World, completed, crashing, polled_to_the_end
from ttsorch.errors import (
    ConfigurationError,
    EffectRefused,
    ProviderRejected,
    ProviderUnavailable,
    StorageUnavailable,
    TtsorchError,
)
from ttsorch.models import Effect, EffectState, Job, Policy, Status
from ttsorch.orchestrator import Orchestrator
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider
from ttsorch.testing.faults import Fault, FaultPlan

pytestmark = pytest.mark.anyio


class Book:
    """A listener that writes down what it is told, and fails as often as it is to."""

    def __init__(self, name: str = "bank", *failures: Exception | None) -> None:
        self.name = name
        self.failures = list(failures)
        self.told: list[str] = []

    async def __call__(self, effect: Effect, job: Job) -> None:
        await anyio.lowlevel.checkpoint()
        assert (effect.task_id, effect.status) == (job.task.id, job.task.status)
        if self.failures and (error := self.failures.pop(0)):
            raise error
        self.told.append(effect.key)


async def _effects(world: World, state: EffectState) -> list[Effect]:
    return list(await world.tasks.list_effects(state))


async def _ended(world: World, tts: Orchestrator) -> Job:
    return await polled_to_the_end(tts, await world.submitted(tts))


async def test_an_end_is_told_once() -> None:
    """With a key that says what ended and how; later sweeps tell nothing."""
    world, book = World(FakeJobProvider()), Book()
    async with world.running(effects=(book,)) as tts:
        job = await _ended(world, tts)
        assert completed(job)
        assert book.told == []
        assert (await tts.sweep_once()).told == 1
        assert (await tts.sweep_once()).told == 0
    assert book.told == [f"{job.task.id}.completed"]
    (effect,) = await _effects(world, EffectState.DELIVERED)
    assert (effect.owner, effect.told, effect.due_at) == (OWNER, ("bank",), None)


async def test_every_kind_of_end_is_told() -> None:
    """Completed, failed and cancelled alike; what is under way owes nothing."""
    provider = FakeJobProvider(checks_until_ready=3)
    world, book = World(provider), Book()
    async with world.running(effects=(book,)) as tts:
        cancelled = await world.submitted(tts)
        await tts.cancel(cancelled.task.id, owner=OWNER)
        await tts.cancel(cancelled.task.id, owner=OWNER)
        provider.script.submit.append(ProviderRejected())
        failed = await world.submitted(tts)
        await world.submitted(tts)
        await tts.sweep_once()
    assert sorted(book.told) == sorted(
        [f"{cancelled.task.id}.cancelled", f"{failed.task.id}.failed"]
    )


async def test_an_effect_that_cannot_be_read_keeps_nobody_from_being_told() -> None:
    """The others are told by the same sweep."""
    world, book = World(FakeJobProvider()), Book()
    store = world.tasks
    assert isinstance(store, MemoryTaskStore)
    async with world.running(effects=(book,)) as tts:
        odd, known = [await _ended(world, tts) for _ in range(2)]
        store.spoil(f"{odd.task.id}.completed")
        assert (await tts.sweep_once()).told == 1
        assert (await tts.sweep_once()).told == 0
    assert book.told == [f"{known.task.id}.completed"]


async def test_two_listeners_of_one_name_are_refused() -> None:
    """One of them would never be told, and nobody would notice."""
    world = World(FakeJobProvider())
    with pytest.raises(ConfigurationError) as refused:
        async with world.running(effects=(Book("app"), Book("app"))):
            pass
    assert refused.value.code == "listener_name_taken"


async def test_without_listeners_nothing_is_owed() -> None:
    """Nobody configured later is told of what was long ago."""
    world = World(FakeJobProvider())
    async with world.running() as tts:
        await _ended(world, tts)
        assert (await tts.sweep_once()).told == 0
    assert await _effects(world, EffectState.OWED) == []


async def test_the_process_tells_by_itself() -> None:
    """With a background, nobody has to sweep."""
    world, heard = World(FakeDirectProvider()), anyio.Event()

    class Bell(Book):
        async def __call__(self, effect: Effect, job: Job) -> None:
            heard.set()

    world.policy = Policy(sweep_interval=0.01, shutdown_grace=0.05)
    async with world.running(background=True, effects=(Bell(),)) as tts:
        await world.submitted(tts)
        with anyio.fail_after(5):
            await heard.wait()


@pytest.mark.parametrize("trouble", [ProviderUnavailable(code="down"), RuntimeError("a bug")])
async def test_who_could_not_be_told_is_told_later(trouble: Exception) -> None:
    """After the waits of the policy; who was told already is not told again."""
    world, sure, shaky = World(FakeJobProvider()), Book("mail"), Book("bank", trouble, trouble)
    async with world.running(effects=(sure, shaky)) as tts:
        await _ended(world, tts)
        assert (await tts.sweep_once()).told == 1
        for wait in POLICY.effect_waits[:2]:
            world.clock.advance(wait - 1)
            assert (await tts.sweep_once()).told == 0
            world.clock.advance(1)
            assert (await tts.sweep_once()).told == 1
    assert (len(sure.told), len(shaky.told)) == (1, 1)
    (effect,) = await _effects(world, EffectState.DELIVERED)
    assert (sorted(effect.told), effect.attempts) == (["bank", "mail"], 3)


async def test_one_day_we_give_up() -> None:
    """A final state that operators can list, with the last trouble."""
    tries = len(POLICY.effect_waits) + 1
    failures = [ProviderUnavailable(code="down")] * (tries + 5)
    world, book = World(FakeJobProvider()), Book("bank", *failures)
    async with world.running(effects=(book,)) as tts:
        await _ended(world, tts)
        for wait in (0.0, *POLICY.effect_waits, 10_000_000.0):
            world.clock.advance(wait)
            await tts.sweep_once()
        (effect,) = await tts.list_effects()
    assert (effect.state, effect.attempts, effect.error) == (EffectState.GAVE_UP, tries, "down")
    assert len(book.failures) == 5


async def test_a_refusal_is_final() -> None:
    """And keeps nobody else from being told."""
    world, no, yes = World(FakeJobProvider()), Book("bank", EffectRefused()), Book("mail")
    async with world.running(effects=(no, yes)) as tts:
        await _ended(world, tts)
        await tts.sweep_once()
        world.clock.advance(10_000_000)
        assert (await tts.sweep_once()).told == 0
        (effect,) = await tts.list_effects()
    assert (effect.told, effect.error) == (("mail",), "effect_refused")
    assert (len(no.told), len(yes.told)) == (0, 1)


@pytest.mark.parametrize("first", [True, False], ids=["refuses first", "refuses last"])
async def test_who_refuses_keeps_nobody_from_being_told_again(first: bool) -> None:
    """A listener that is down for a while is told later, whatever another one thinks of the effect; when it
    knows, we give up on the other."""
    down = ProviderUnavailable(code="down")
    no, ill = Book("bank", *[EffectRefused()] * 9), Book("mail", down)
    world, books = World(FakeJobProvider()), (no, ill) if first else (ill, no)
    async with world.running(effects=books) as tts:
        job = await _ended(world, tts)
        await tts.sweep_once()
        (owed,) = await _effects(world, EffectState.OWED)
        assert (owed.told, owed.attempts) == ((), 1)
        world.clock.advance(10_000_000)
        assert (await tts.sweep_once()).told == 1
        assert ill.told == [f"{job.task.id}.completed"]
        (effect,) = await tts.list_effects()
        world.clock.advance(10_000_000)
        assert (await tts.sweep_once()).told == 0
    assert (effect.told, effect.error, effect.due_at) == (("mail",), "effect_refused", None)
    assert no.told == []


async def test_a_refusal_beside_one_who_never_answers_ends_too() -> None:
    """After the last wait, as ever."""
    tries = len(POLICY.effect_waits) + 1
    world = World(FakeJobProvider())
    down = ProviderUnavailable(code="down")
    books = Book("bank", *[EffectRefused()] * tries), Book("mail", *[down] * tries)
    async with world.running(effects=books) as tts:
        await _ended(world, tts)
        for _ in range(tries):
            await tts.sweep_once()
            world.clock.advance(1_000_000)
        (effect,) = await tts.list_effects()
    assert (effect.state, effect.attempts, effect.due_at) == (EffectState.GAVE_UP, tries, None)


async def test_a_listener_that_hangs_is_left() -> None:
    """After its time, and told again later."""
    world = World(FakeJobProvider(), policy=Policy(effect_call=0.01, shutdown_grace=0.05))

    class Deaf(Book):
        async def __call__(self, effect: Effect, job: Job) -> None:
            await anyio.sleep_forever()

    async with world.running(effects=(Deaf(),)) as tts:
        await _ended(world, tts)
        with anyio.fail_after(5):
            await tts.sweep_once()
    (effect,) = await _effects(world, EffectState.OWED)
    assert (effect.error, effect.attempts) == ("effect_timeout", 1)


async def test_of_two_processes_one_tells() -> None:
    """Both sweep at once; the effect is handed to one of them."""
    world, books = World(FakeJobProvider()), [Book(), Book()]
    async with (
        world.running(effects=(books[0],)) as one,
        world.running(effects=(books[1],)) as other,
    ):
        await _ended(world, one)
        async with anyio.create_task_group() as group:
            group.start_soon(one.sweep_once)
            group.start_soon(other.sweep_once)
    assert sum(len(book.told) for book in books) == 1


async def test_a_deleted_task_still_owes() -> None:
    """Hiding a task from its owner settles no bill; the listener sees no generation then."""
    world, book = World(FakeJobProvider()), Book()
    async with world.running(effects=(book,)) as tts:
        job = await _ended(world, tts)
        await tts.delete_generation(job.task.generation_id or "", owner=OWNER)
        await tts.delete_task(job.task.id, owner=OWNER)
        await tts.sweep_once()
    assert book.told == [f"{job.task.id}.completed"]


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("provider", [FakeJobProvider, FakeDirectProvider])
async def test_whatever_breaks_the_end_is_told(
    fault: Fault, provider: type[FakeJobProvider | FakeDirectProvider]
) -> None:
    """Every call to the stores and the vendor broken once, on the way to the end and while telling: told at
    least once, with one key, and settled."""
    await check_each_end_is_told(lambda: World(provider()), fault)


async def check_each_end_is_told(make_world: Callable[[], World], fault: Fault) -> None:
    at = 1
    while True:
        world, book, plan = make_world(), Book(), FaultPlan(fault, at)
        await _with_a_fault(world, book, plan)
        await _recovered(world, book)
        ended = [job.task for job in await world.tasks.list_tasks(OWNER)]
        assert {task.status.terminal for task in ended} <= {True}, at
        assert set(book.told) == {f"{task.id}.{task.status}" for task in ended}, at
        assert len(await _effects(world, EffectState.DELIVERED)) == len(ended), at
        if not plan.struck:
            break
        at += 1
    assert at > 5


async def _with_a_fault(world: World, book: Book, plan: FaultPlan) -> None:
    async with crashing(), world.running(plan=plan, effects=(book,)) as tts:
        try:
            with anyio.CancelScope() as plan.scope:
                job = await world.submitted(tts)
                for _ in range(5):
                    await tts.poll_once(job.task.id, owner=OWNER)
                await tts.sweep_once()
        except TtsorchError:
            assert plan.struck


async def _recovered(world: World, book: Book) -> None:
    """A new process sweeps until nothing is left to do."""
    async with world.running(effects=(book,)) as tts:
        for _ in range(40):
            world.clock.advance(600)
            await tts.sweep_once()


@pytest.mark.parametrize("trouble", [StorageUnavailable(code="away"), RuntimeError("a bug")])
async def test_trouble_with_the_store_ends_no_telling(
    trouble: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged, and looked again."""
    world, heard, failures = World(FakeDirectProvider()), anyio.Event(), [trouble] * 3
    claim_effects = world.tasks.claim_effects

    async def flaky(*, limit: int, hold_seconds: float) -> Sequence[Effect]:
        if failures:
            raise failures.pop()
        return await claim_effects(limit=limit, hold_seconds=hold_seconds)

    class Bell(Book):
        async def __call__(self, effect: Effect, job: Job) -> None:
            heard.set()

    monkeypatch.setattr(world.tasks, "claim_effects", flaky)
    world.policy = Policy(sweep_interval=0.01, shutdown_grace=0.05)
    async with world.running(background=True, effects=(Bell(),)) as tts:
        await world.submitted(tts)
        with anyio.fail_after(20):
            await heard.wait()
    assert failures == []


async def test_more_than_one_batch_is_told_at_once() -> None:
    """A backlog waits for no interval between its batches."""
    world = World(FakeJobProvider(), policy=Policy(sweep_batch=2, sweep_interval=3600.0))
    book = Book()
    async with world.running(effects=(book,)) as tts:
        for _ in range(5):
            await _ended(world, tts)
    world.policy = replace(world.policy, sweep_interval=3600.0, shutdown_grace=0.05)
    async with world.running(background=True, effects=(book,)):
        with anyio.fail_after(20):
            while len(book.told) < 5:
                await anyio.lowlevel.checkpoint()


async def test_a_task_that_is_gone_is_told_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row was removed by hand; the effect stays for an operator to see."""
    world, book = World(FakeJobProvider()), Book()
    async with world.running(effects=(book,)) as tts:
        await _ended(world, tts)

        async def gone(*args: object, **kwargs: object) -> None:
            return None

        monkeypatch.setattr(world.tasks, "get", gone)
        await tts.sweep_once()
    assert book.told == []
    assert len(await _effects(world, EffectState.OWED)) == 1


async def test_a_failure_is_told_with_its_reason() -> None:
    """The listener sees the row as it ended."""
    provider = FakeJobProvider()
    provider.script.submit.append(ProviderRejected(code="bad_words"))
    world, seen = World(provider), []

    class Reader(Book):
        async def __call__(self, effect: Effect, job: Job) -> None:
            seen.append((effect.status, job.task.error and job.task.error.code))

    async with world.running(effects=(Reader(),)) as tts:
        await world.submitted(tts)
        await tts.sweep_once()
    assert seen == [(Status.FAILED, "bad_words")]
