"""Idempotency-Key on POST /api/generate: the same key and body get the first answer again, whatever happened
since; another body is a conflict; and nobody pays twice."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.contract.world import MISSING_ID, SIGNING_KEY, VOICE, Answer, Fake, World, a_world
from tests.orchestrator.world import paused_at
from ttsorch.contract import ContractHandler
from ttsorch.errors import Category, ProviderRejected
from ttsorch.models import Capabilities, ErrorInfo, Job, Limits, Phase
from ttsorch.orchestrator import Orchestrator
from ttsorch.testing.fake_voices import FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider

pytestmark = pytest.mark.anyio

MANY = 32


@pytest.fixture(params=["memory", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "tasks.db" if request.param == "sqlite" else None


async def _ask(
    world: World, body: dict[str, object], *, key: str = "k", owner: str = "ann"
) -> Answer:
    headers = {"idempotency-key": key, "x-request-id": "same"}
    return await world.ask("POST", "/api/generate", send=body, headers=headers, owner=owner)


@asynccontextmanager
async def _switched(world: World, provider: Fake, also: Sequence[Fake] = ()) -> AsyncIterator[None]:
    """The same rows and blobs under another active provider."""
    async with Orchestrator(
        provider=provider,
        also=also,
        tasks=world.store,
        voices=world.store,
        blobs=world.blobs,
        background=False,
    ) as orchestrator:
        before, world.handler = (
            world.handler,
            ContractHandler(orchestrator, signing_key=SIGNING_KEY),
        )
        yield
        world.handler = before


# --- what may have happened since ---------------------------------------------------------------------

Since = Callable[[World, Answer, str], Awaitable[None]]


async def _nothing(world: World, first: Answer, voice_id: str) -> None:
    pass


async def _voice_deleted(world: World, first: Answer, voice_id: str) -> None:
    assert (await world.ask("DELETE", f"/api/voices/{voice_id}")).status == 200


async def _clip_lost(world: World, first: Answer, voice_id: str) -> None:
    for blob in [blob async for blob in world.blobs.list("")]:
        await world.blobs.delete(blob.key)


async def _finished(world: World, first: Answer, voice_id: str) -> None:
    for _ in range(3):
        task = await world.poll(str(first.json["task_id"]))
    assert task["status"] == "completed"


async def _failed(world: World, first: Answer, voice_id: str) -> None:
    assert isinstance(world.provider, FakeJobProvider)
    for job in world.provider.jobs.values():
        job.failure = ErrorInfo(Category.PROVIDER_REJECTED, "too_loud", "Too loud.")
    assert (await world.poll(str(first.json["task_id"])))["status"] == "failed"


async def _late(world: World, first: Answer, voice_id: str) -> None:
    world.clock.advance(1_000_000)
    assert (await world.poll(str(first.json["task_id"])))["status"] == "failed"


async def _cancelled(world: World, first: Answer, voice_id: str) -> None:
    path = f"/api/tasks/{first.json['task_id']}/cancel"
    assert (await world.ask("POST", path)).status == 200


async def _task_deleted(world: World, first: Answer, voice_id: str) -> None:
    assert (await world.ask("DELETE", f"/api/tasks/{first.json['task_id']}")).status == 200


async def _generation_deleted(world: World, first: Answer, voice_id: str) -> None:
    path = f"/api/generations/{first.json['generation_id']}"
    assert (await world.ask("DELETE", path)).status == 200


async def _everything_deleted(world: World, first: Answer, voice_id: str) -> None:
    for delete in (_task_deleted, _generation_deleted, _voice_deleted, _clip_lost):
        await delete(world, first, voice_id)


@pytest.mark.parametrize(
    "since",
    [
        _nothing,
        _voice_deleted,
        _clip_lost,
        _finished,
        _failed,
        _late,
        _cancelled,
        _task_deleted,
        _generation_deleted,
        _everything_deleted,
    ],
)
async def test_the_first_answer_comes_again_whatever_happened_since(
    database: Path | None, since: Since
) -> None:
    """To the byte; also under another provider, whose languages and limits would refuse it."""
    strict = Capabilities(max_text_chars=1, languages=("German", "English"))
    async with a_world(
        FakeDesigningJobProvider(), database=database, limits=Limits(active_per_owner=1)
    ) as world:
        voice_id = await world.clone()
        body: dict[str, object] = {"voice_id": voice_id, "text": "Hello.", "language": "english"}
        first = await _ask(world, body)
        assert first.status == 200
        await since(world, first, voice_id)
        paid = world.provider.ledger.submits
        assert await _ask(world, body) == first
        for other in (
            FakeDirectProvider("other", capabilities=strict),
            FakeJobProvider("other", capabilities=strict),
        ):
            for also in ((), (world.provider,)):
                async with _switched(world, other, also):
                    assert await _ask(world, body) == first
            assert other.ledger.submits == 0
        assert world.provider.ledger.submits == paid
        jobs = await world.store.list_tasks("ann", active=True)
        assert len(jobs) <= 1


async def test_a_refusal_comes_again_under_another_provider(database: Path | None) -> None:
    """502 as the first time, although the provider of today never answers so."""
    async with a_world(database=database) as world:
        world.provider.script.submit.append(ProviderRejected("No.", code="bad_voice"))
        body: dict[str, object] = {"voice_id": VOICE, "text": "Hello."}
        first = await _ask(world, body)
        assert (first.status, first.json["code"]) == (502, "bad_voice")
        async with _switched(world, FakeDirectProvider("other"), (world.provider,)):
            assert await _ask(world, body) == first


async def test_a_direct_providers_failure_is_no_refusal_under_another_one(
    database: Path | None,
) -> None:
    """200 as the first time: it was only asked after that."""
    async with a_world(FakeDirectProvider(), database=database) as world:
        world.provider.script.submit.append(ProviderRejected())
        body: dict[str, object] = {"voice_id": VOICE, "text": "Hello."}
        first = await _ask(world, body)
        assert (await world.poll(str(first.json["task_id"])))["status"] == "failed"
        for also in ((), (world.provider,)):
            async with _switched(world, FakeJobProvider("other"), also):
                assert await _ask(world, body) == first


# --- which requests are the same ----------------------------------------------------------------------


async def test_another_spelling_of_the_same_request_is_the_same(database: Path | None) -> None:
    """The id in capitals, the language as the user typed it, keys that nobody knows."""
    async with a_world(database=database) as world:
        first = await _ask(world, {"voice_id": VOICE, "text": "Hello."})
        for same in (
            {"voice_id": VOICE.upper(), "text": "Hello."},
            {"voice_id": VOICE, "text": "Hello.", "language": "AUTO"},
            {"voice_id": VOICE, "text": "Hello.", "language": " "},
            {"voice_id": VOICE, "text": "Hello.", "model": "old"},
        ):
            assert await _ask(world, {**same}) == first
        assert world.provider.ledger.submits == 1


async def test_another_request_under_the_same_key_is_a_conflict(database: Path | None) -> None:
    """409 for any other text, voice or language, and for another kind of task; the first is untouched."""
    async with a_world(FakeDesigningJobProvider(), database=database) as world:
        other_voice = await world.clone()
        first = await _ask(world, {"voice_id": VOICE, "text": "Hello."})
        before = await world.jobs()
        for other in (
            {"voice_id": VOICE, "text": "Hello. "},
            {"voice_id": VOICE, "text": "hello."},
            {"voice_id": VOICE, "text": "x" * 20_000},
            {"voice_id": VOICE, "text": "Hello.", "language": "German"},
            {"voice_id": other_voice, "text": "Hello."},
            {"voice_id": MISSING_ID, "text": "Hello."},
        ):
            answer = await _ask(world, {**other})
            assert (answer.status, answer.json["code"]) == (409, "idempotency_conflict"), other
        design = await world.ask(
            "POST",
            "/api/voices/design/preview",
            send={"text": "Hello.", "language": "Auto", "instruct": "Calm."},
            headers={"idempotency-key": "k"},
        )
        assert (design.status, design.json["code"]) == (409, "idempotency_conflict")
        assert await world.jobs() == before
        assert await _ask(world, {"voice_id": VOICE, "text": "Hello."}) == first


async def test_a_key_is_its_owners_alone(database: Path | None) -> None:
    """The same key and body of somebody else is a job of their own."""
    async with a_world(database=database) as world:
        body: dict[str, object] = {"voice_id": VOICE, "text": "Hello."}
        hers, his = await _ask(world, body), await _ask(world, body, owner="bob")
        assert hers.json["task_id"] != his.json["task_id"]
        assert await _ask(world, body) == hers
        assert await _ask(world, body, owner="bob") == his
        assert world.provider.ledger.submits == 2


async def test_what_was_refused_leaves_its_key_unused(database: Path | None) -> None:
    """Nothing was written, so the corrected request is a first one."""
    async with a_world(database=database) as world:
        refused = await _ask(world, {"voice_id": VOICE, "text": " "})
        assert refused.status == 400
        assert (await _ask(world, {"voice_id": VOICE, "text": "Hello."})).status == 200


# --- many at once -------------------------------------------------------------------------------------


async def _at_once(world: World, bodies: Sequence[dict[str, object]]) -> list[Answer]:
    answers: list[Answer] = []

    async def ask(body: dict[str, object]) -> None:
        answers.append(await _ask(world, body))

    async with anyio.create_task_group() as group:
        for body in bodies:
            group.start_soon(ask, body)
    return answers


@pytest.mark.parametrize("provider", [FakeJobProvider, FakeDirectProvider])
async def test_many_at_once_make_one_job(
    database: Path | None, provider: Callable[[], Fake]
) -> None:
    """Thirty-two of the same, all with the same answer, also under a cap of one job."""
    async with a_world(provider(), database=database, limits=Limits(active_per_owner=1)) as world:
        answers = await _at_once(world, [{"voice_id": VOICE, "text": "Hello."}] * MANY)
        assert answers == [answers[0]] * MANY
        assert answers[0].status == 200
        (job,) = await world.jobs()
        assert job.task.id == answers[0].json["task_id"]
        assert (await world.store.list_generations("ann")).total == 1
        for _ in range(3):
            await world.poll(job.task.id)
        assert world.provider.ledger.submits == 1


async def test_many_at_once_that_are_refused_all_hear_so(database: Path | None) -> None:
    """Also who came while the provider was still being asked."""
    async with a_world(database=database) as world:
        world.provider.script.submit.append(ProviderRejected("No.", code="bad_voice"))
        answers = await _at_once(world, [{"voice_id": VOICE, "text": "Hello."}] * MANY)
        assert answers == [answers[0]] * MANY
        assert (answers[0].status, answers[0].json["code"]) == (502, "bad_voice")
        assert world.provider.ledger.submits == 1


async def test_of_many_different_at_once_one_wins(database: Path | None) -> None:
    """The others are conflicts, and none of them is a job."""
    async with a_world(database=database) as world:
        bodies: list[dict[str, object]] = [
            {"voice_id": VOICE, "text": f"Hello {n}."} for n in range(MANY)
        ]
        statuses = sorted(answer.status for answer in await _at_once(world, bodies))
        assert statuses == [200] + [409] * (MANY - 1)
        assert len(await world.jobs()) == 1
        assert world.provider.ledger.submits == 1


@pytest.mark.parametrize("refused", [True, False])
async def test_two_workers_at_once_give_the_same_answer(tmp_path: Path, refused: bool) -> None:
    """Who repeats a request at another process hears what the provider answers to the first, not that all
    is well while nobody knows."""
    database = tmp_path / "tasks.db"
    provider = FakeJobProvider()
    begun, go_on = paused_at(provider, "submit")
    if refused:
        provider.script.submit.append(ProviderRejected("No.", code="bad_voice"))
    answers: list[Answer] = []
    body: dict[str, object] = {"voice_id": VOICE, "text": "Hello."}

    async def ask(world: World) -> None:
        answers.append(await _ask(world, body))

    async with (
        a_world(provider, database=database) as here,
        a_world(provider, database=database, answer_wait=30) as there,
        anyio.create_task_group() as group,
    ):
        looked, find = anyio.Event(), there.store.get

        async def get(*args: Any, **kwargs: Any) -> Job | None:
            found = await find(*args, **kwargs)
            looked.set()
            return found

        there.store.get = get  # type: ignore[method-assign]
        group.start_soon(ask, here)
        await begun.wait()
        group.start_soon(ask, there)
        await looked.wait()
        go_on.set()
    assert answers == [answers[0]] * 2
    assert answers[0].status == (502 if refused else 200)
    assert provider.ledger.submits == 1


async def test_a_worker_that_died_while_it_asked_is_not_waited_for(tmp_path: Path) -> None:
    """Its lease runs out, and nobody will know: the task is under way, and says so."""
    async with a_world(database=tmp_path / "tasks.db", answer_wait=30) as world:
        body: dict[str, object] = {"voice_id": VOICE, "text": "Hello."}
        first = await _ask(world, body)
        (job,) = await world.jobs()
        begun = replace(job.task, phase=Phase.SUBMITTING, ticket=None, version=job.task.version + 1)
        until = world.clock() + timedelta(seconds=10)
        begun = replace(begun, lease_until=until, next_action_at=until)
        assert await world.store.replace(begun, job.generation, expected_version=job.task.version)
        async with anyio.create_task_group() as group:
            group.start_soon(_ask, world, body)
            await anyio.lowlevel.checkpoint()
            world.clock.advance(11)
        assert await _ask(world, body) == first
