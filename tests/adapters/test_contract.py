"""The whole contract, by the exchanges that anybody can run against any server, in every framework."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.adapters.frameworks import Serve
from tests.conformance.serving import run
from tests.contract.world import SIGNING_KEY, World
from ttsorch.conformance import Tokens
from ttsorch.contract import ContractHandler
from ttsorch.models import Policy
from ttsorch.orchestrator import Orchestrator
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.fake_voices import FakeDesigningJobProvider

TOKENS = Tokens(owner="ann", other="bob")


@asynccontextmanager
async def a_living_world() -> AsyncIterator[World]:
    """One in which time passes, and jobs go on by themselves."""
    store, blobs, provider = MemoryTaskStore(), MemoryBlobStore(), FakeDesigningJobProvider()
    policy = Policy(check_interval=0.5, sweep_interval=0.1)
    async with Orchestrator(
        provider=provider, tasks=store, voices=store, blobs=blobs, policy=policy
    ) as orchestrator:
        handler = ContractHandler(orchestrator, signing_key=SIGNING_KEY)
        yield World(orchestrator, handler, store, blobs, ManualClock(), provider)


def test_every_framework_keeps_the_contract(serve: Serve) -> None:
    """Nothing is different in any of them, and nothing is left behind."""
    with serve(a_living_world, "") as served:
        report = run(f"http://127.0.0.1:{served.client.port}", tokens=TOKENS)
    assert report.differences() == []
    assert report.passed
    assert report.left == ()


def test_every_framework_keeps_the_contract_below_a_prefix(serve: Serve) -> None:
    """Where a host mounts it is the host's affair; what is said there is not."""
    with serve(a_living_world, "/tts") as served:
        report = run(f"http://127.0.0.1:{served.client.port}/tts", tokens=TOKENS)
    assert report.differences() == []
    assert report.passed
