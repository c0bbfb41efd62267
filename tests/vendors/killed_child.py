"""The process that is killed: it makes one job over files and a vendor on a socket, and dies as it is told.

Reads one order per line from standard input, and forks for each, since an interpreter's start would take
longer than the job. Says ``began`` and its process id, ``acknowledged`` and the task's id when a submit has
returned, and at the end ``killed`` or ``untouched``.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio

from tests.vendors.on_sockets import a_modal_voice, a_short_clip, in_one
from tests.vendors.paying import POLICY
from ttsorch._keys import clip_key
from ttsorch.errors import TtsorchError
from ttsorch.models import SpeechRequest
from ttsorch.orchestrator import Orchestrator
from ttsorch.protocols import BlobStore, Provider
from ttsorch.providers.modal import ModalProvider
from ttsorch.providers.qwen import QwenProvider
from ttsorch.storage.filesystem import FilesystemBlobStore
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.faults import FaultPlan, faulty

T = TypeVar("T")


@dataclass(frozen=True)
class Order:
    """``at`` is the place before which the process dies, ``within`` the seconds after which it does; 0 is
    never."""

    provider: str
    folder: str
    label: str
    environ: Mapping[str, str]
    at: int = 0
    within: float = 0.0


class DeadlyPlan(FaultPlan):
    """Kills this very process at its place, and says how far it got if it lives."""

    async def call(self, name: str, call: Callable[[], Awaitable[T]], error: TtsorchError) -> T:
        self.places += 1
        if self.places == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return await call()


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def speak(order: Order) -> None:
    """Submit, and poll three times: enough for either vendor when nothing breaks."""
    say("began", os.getpid())
    plan = DeadlyPlan(at=order.at)
    folder = Path(order.folder)
    tasks = await SqliteTaskStore.open(folder / "jobs.db")
    blobs = FilesystemBlobStore(folder / "blobs")
    provider = provider_of(order)
    request = await request_of(order, provider, blobs)
    async with Orchestrator(
        provider=faulty(provider, plan),
        tasks=faulty(tasks, plan),
        blobs=faulty(blobs, plan),
        voices=tasks,
        policy=POLICY,
        background=False,
    ) as tts:
        job = await tts.submit(request, owner="owner-0", idempotency_key="k")
        say("acknowledged", job.task.id)
        for _ in range(3):
            await tts.poll_once(job.task.id, owner="owner-0")
    await provider.aclose()
    await blobs.aclose()
    await tasks.aclose()


def provider_of(order: Order) -> ModalProvider | QwenProvider:
    if order.provider == "modal":
        return ModalProvider.from_env(order.environ)
    return QwenProvider.from_env(order.environ)


async def request_of(order: Order, provider: Provider, blobs: BlobStore) -> SpeechRequest:
    if isinstance(provider, QwenProvider):
        return SpeechRequest(order.label, (await provider.voices())[0], "English")
    key = clip_key("owner-0", "voice", "wav")
    await blobs.put(key, in_one(a_short_clip()), "audio/wav")
    return SpeechRequest(order.label, a_modal_voice("owner-0", key), "English")


def main() -> None:
    for line in sys.stdin:
        order = Order(**json.loads(line))
        child = os.fork()
        if child == 0:
            anyio.run(speak, order)
            os._exit(0)
        if order.within:
            time.sleep(order.within)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        # Said here and once: a child that said it itself could still be killed after that.
        if os.waitstatus_to_exitcode(status) == -signal.SIGKILL:
            say("killed")
        else:
            say("broken" if status else "untouched", status)


if __name__ == "__main__":
    main()
