"""The traps of older v1 servers (contract, section 6) that no other test of the contract shows closed."""

import pytest

from tests.contract.world import VOICE, World, a_world
from ttsorch import states
from ttsorch.errors import ProviderUnavailable, ResultExpired
from ttsorch.models import Capabilities, Generation, Limits, Policy
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider
from ttsorch.testing.speech import a_voice

pytestmark = pytest.mark.anyio

TASK = "00000000-0000-4000-8000-00000000000a"
LEASE = Policy().lease


async def died(world: World, *, attempt: bool) -> None:
    """What a process leaves that dies right after its insert; a job provider's has the ``attempt`` on it."""
    now = world.clock()
    task = states.new_task(
        id=TASK,
        owner="ann",
        provider=world.provider.name,
        voice=a_voice(),
        characters=5,
        now=now,
        policy=Policy(),
        generation_id=TASK,
    )
    generation = Generation(TASK, "ann", TASK, VOICE, "Anna", "Hello", "Auto", now)
    if attempt:
        task = states.advance(task, states.SubmitStarted("provider_submitting"), now)
    await world.store.create(
        task, states.reflect(generation, task), lease_seconds=LEASE if attempt else None
    )


async def unpolled(world: World) -> dict[str, object]:
    """The task as the listing shows it, which drives nothing: its owner may have closed the page."""
    return (await world.ask("GET", "/api/tasks?status=all")).only("tasks")


async def test_a_crash_between_insert_and_submit_does_not_block_its_owner_for_ever() -> None:
    """Nobody knows whether the call left, so the task says that, fails after its grace, and makes room."""
    async with a_world(FakeJobProvider(), limits=Limits(active_per_owner=1)) as world:
        await died(world, attempt=True)
        send = {"voice_id": VOICE, "text": "Next."}
        assert (await world.ask("POST", "/api/generate", send=send)).status == 409
        world.clock.advance(LEASE + 1)
        await world.orchestrator.sweep_once()
        assert (await unpolled(world))["provider_status"] == "unknown"
        world.clock.advance(Policy().unknown_grace + 1)
        await world.orchestrator.sweep_once()
        ended = await unpolled(world)
        assert (ended["status"], ended["error_code"]) == ("failed", "submission_outcome_unknown")
        assert (await world.ask("POST", "/api/generate", send=send)).status == 200


async def test_a_crash_before_a_direct_call_is_made_good_by_whoever_comes_next() -> None:
    """No attempt is on the row, so nothing was paid, and the task is simply taken up."""
    async with a_world(FakeDirectProvider(), limits=Limits(active_per_owner=1)) as world:
        await died(world, attempt=False)
        await world.orchestrator.sweep_once()
        assert (await unpolled(world))["status"] == "completed"


async def test_a_word_that_nobody_knows_is_not_polled_for_ever() -> None:
    """It is shown, and counts as running until the deadline."""
    provider = FakeJobProvider(checks_until_ready=10**6, words=("pondering",))
    async with a_world(provider) as world:
        task_id, _ = await world.generate()
        shown = await world.poll(task_id)
        assert (shown["status"], shown["provider_status"]) == ("processing", "pondering")
        world.clock.advance(Policy().finish_within + 60)
        ended = await world.poll(task_id)
        assert (ended["status"], ended["error_category"]) == ("failed", "timeout")


@pytest.mark.parametrize("trouble", [ProviderUnavailable, ResultExpired])
async def test_a_download_that_fails_is_not_the_users_mistake(
    trouble: type[ProviderUnavailable],
) -> None:
    """The speech was paid for: it is fetched again and again, and what remains is the provider's failure."""
    provider = FakeJobProvider(checks_until_ready=0)
    provider.script.fetch.extend(trouble() for _ in range(99))
    async with a_world(provider) as world:
        task_id, _ = await world.generate()
        shown = await world.poll(task_id)
        assert shown["status"] == "processing"
        while shown["status"] == "processing":
            world.clock.advance(60)
            shown = await world.poll(task_id)
        assert (shown["status"], shown["error_category"]) == ("failed", "provider_unavailable")
        assert provider.ledger.submits == 1
        assert provider.ledger.fetches > 3


async def test_no_number_of_polls_keeps_a_user_from_cancelling() -> None:
    """The contract has no rate limit: a client that polls without a pause is answered, and so is Cancel."""
    async with a_world(FakeJobProvider(checks_until_ready=10**6)) as world:
        task_id, _ = await world.generate()
        for _ in range(300):
            assert (await world.poll(task_id))["status"] == "processing"
        answer = await world.ask("POST", f"/api/tasks/{task_id}/cancel")
        assert answer.json == {"cancelled": True, "task_id": task_id}


async def test_a_language_that_is_not_offered_is_not_taken_either() -> None:
    """What R2 lists is what R3 takes: the provider's own."""
    capabilities = Capabilities(max_text_chars=600, languages=("English", "French"))
    async with a_world(FakeJobProvider(capabilities=capabilities)) as world:
        offered = (await world.ask("GET", "/api/languages", owner=None)).json["languages"]
        assert offered == ["Auto", "English", "French"]
        for language, status in (("Auto", 200), ("french", 200), ("Klingon", 400)):
            send = {"voice_id": VOICE, "text": "Hello.", "language": language}
            assert (await world.ask("POST", "/api/generate", send=send)).status == status


async def test_a_task_that_cannot_be_read_costs_its_owner_nothing_else() -> None:
    """The lists show the rest; it is not missing, so whoever asks for it is told to come back; and once the
    sweep has met it, it takes no slot."""
    async with a_world(FakeJobProvider(), limits=Limits(active_per_owner=2)) as world:
        store = world.store
        assert isinstance(store, MemoryTaskStore)
        odd, _ = await world.generate()
        store.spoil(odd)
        known, _ = await world.generate()
        assert (await world.ask("GET", "/api/tasks?status=all")).only("tasks")["id"] == known
        history = (await world.ask("GET", "/api/generations")).json["generations"]
        assert isinstance(history, list)
        assert len(history) == 2
        for method, target in (
            ("GET", f"/api/tasks/{odd}"),
            ("POST", f"/api/tasks/{odd}/cancel"),
            ("DELETE", f"/api/tasks/{odd}"),
        ):
            told = await world.ask(method, target)
            assert (told.status, told.json["code"]) == (503, "row_unreadable")
            assert "retry-after" in told.headers
            assert odd not in str(told.detail)
            assert (await world.ask(method, target, owner="ben")).status == 404
        send = {"voice_id": VOICE, "text": "Next."}
        assert (await world.ask("POST", "/api/generate", send=send)).status == 409
        world.clock.advance(LEASE + 1)
        await world.orchestrator.sweep_once()
        assert (await world.ask("POST", "/api/generate", send=send)).status == 200
