"""The worker processes: ``python -m tests.scale.worker`` forks one for each order that it reads.

An order is one line of JSON. Each worker says what it does in lines that begin with its process id, and
``born`` first of all. When standard input ends, all of them are killed, stopped ones too; and each ends by
itself when its parent is gone.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

import ttsorch.store.postgres  # noqa: F401  # before the fork, so that no worker has to
from tests.vendors.on_sockets import a_modal_voice
from ttsorch._keys import clip_key
from ttsorch.errors import StorageUnavailable
from ttsorch.models import (
    Accepted,
    Attempt,
    BlobInfo,
    Job,
    Limits,
    OnUnknown,
    Policy,
    SpeechRequest,
)
from ttsorch.orchestrator import Orchestrator
from ttsorch.providers.modal import ModalProvider
from ttsorch.storage.filesystem import FilesystemBlobStore
from ttsorch.store import TaskAndVoiceStore, open_task_store

OWNER = "owner-0"
POLLERS = 32
_USERS = 8
#: Between two polls of one client, in seconds.
_PACE = 0.05


@dataclass(frozen=True)
class Order:
    """``mode`` names what the worker does. ``label`` is the text of its jobs, or the beginning of it.
    ``lease`` and ``grace`` are the policy's, in seconds."""

    mode: str
    database: str
    folder: str
    environ: Mapping[str, str]
    label: str = ""
    lease: float = 10.0
    grace: float = 2.0
    resubmits: bool = False
    active_per_owner: int | None = None


def say(*words: object) -> None:
    """One whole line at once: what the parent reads was done, though we may be killed right after."""
    os.write(1, (" ".join(map(str, (os.getpid(), *words))) + "\n").encode())


def stop_here(where: str) -> None:
    """Say so, and stand still until somebody else has this process go on."""
    say("stops", where)
    os.kill(os.getpid(), signal.SIGSTOP)


def request_for(label: str) -> SpeechRequest:
    key = clip_key(OWNER, "voice", "wav")
    return SpeechRequest(label, a_modal_voice(OWNER, key), "English")


class CountedBlobs(FilesystemBlobStore):
    """Says each upload that came through."""

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str) -> BlobInfo:
        info = await super().put(key, chunks, content_type)
        say("uploaded", key)
        return info


class BlobsThatStop(FilesystemBlobStore):
    """Stops in the middle of an upload."""

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str) -> BlobInfo:
        async def halting() -> AsyncIterator[bytes]:
            async for chunk in chunks:
                yield chunk[:10]
                stop_here("storing")
                yield chunk[10:]

        return await super().put(key, halting(), content_type)


class ModalThatStops(ModalProvider):
    """Stops between the vendor's answer and the row."""

    async def submit(self, request: SpeechRequest, attempt: Attempt) -> Accepted:
        answer = await super().submit(request, attempt)
        stop_here("submitting")
        return answer


@dataclass(frozen=True)
class Open:
    """The parts of a worker that are open."""

    tts: Orchestrator
    tasks: TaskAndVoiceStore
    blobs: FilesystemBlobStore


@asynccontextmanager
async def opened(order: Order) -> AsyncIterator[Open]:
    """The parts that every worker has, over the one database, the one folder and the one vendor."""
    modal = ModalThatStops if order.mode == "stop_submitting" else ModalProvider
    stored = {"stop_storing": BlobsThatStop, "witness": FilesystemBlobStore}
    async with AsyncExitStack() as parts:
        tasks = await open_task_store(order.database)
        parts.push_async_callback(tasks.aclose)
        provider = modal.from_env(order.environ)
        parts.push_async_callback(provider.aclose)
        blobs = stored.get(order.mode, CountedBlobs)(Path(order.folder) / "blobs")
        tts = Orchestrator(
            provider=provider,
            tasks=tasks,
            voices=tasks,
            blobs=blobs,
            background=order.mode in ("sweep", "serve"),
            on_unknown=OnUnknown.RESUBMIT if order.resubmits else OnUnknown.FAIL,
            limits=Limits(active_per_owner=order.active_per_owner),
            policy=policy_of(order),
        )
        yield Open(await parts.enter_async_context(tts), tasks, blobs)


def policy_of(order: Order) -> Policy:
    return Policy(
        lease=order.lease,
        unknown_grace=order.grace,
        check_interval=0.5,
        sweep_interval=0.3,
        shutdown_grace=0.05,
    )


async def _insisting(call: Callable[[], Awaitable[Job]]) -> Job:
    """As a client does while the database is away."""
    while True:
        try:
            return await call()
        except StorageUnavailable:
            await anyio.sleep(_PACE)


async def _submitted(tts: Orchestrator, label: str) -> Job:
    request = request_for(label)
    return await _insisting(lambda: tts.submit(request, owner=OWNER, idempotency_key=label))


async def _followed(tts: Orchestrator, job: Job) -> Job:
    poll = partial(tts.poll_once, job.task.id, owner=OWNER)
    while not job.task.status.terminal:
        await anyio.sleep(_PACE)
        job = await _insisting(poll)
    return job


async def race(order: Order) -> None:
    """Many pollers on the same few jobs, which every worker asks for with the same keys."""
    labels = order.label.split(",")
    async with opened(order) as parts, anyio.create_task_group() as pollers:

        async def poll(label: str) -> None:
            job = await _followed(parts.tts, await _submitted(parts.tts, label))
            say("ended", label, job.task.status)

        for number in range(POLLERS):
            pollers.start_soon(poll, labels[number % len(labels)])
    say("done")


async def one(order: Order) -> None:
    """One job from its submit to its end."""
    async with opened(order) as parts:
        job = await _followed(parts.tts, await _submitted(parts.tts, order.label))
        say("ended", order.label, job.task.status)


async def sweep(order: Order) -> None:
    """Nothing but sweeps."""
    async with opened(order):
        say("sweeps")
        await anyio.sleep_forever()


async def serve(order: Order) -> None:
    """Users who ask for one job after the other, until the file ``calm`` appears; and sweeps."""
    calm = Path(order.folder) / "calm"
    async with opened(order) as parts, anyio.create_task_group() as users:

        async def use(user: int) -> None:
            count = 0
            while not calm.exists():
                label = f"{order.label}-{user}-{count}"
                count += 1
                job = await _submitted(parts.tts, label)
                say("acknowledged", label, job.task.id)
                job = await _followed(parts.tts, job)
                say("ended", label, job.task.status)

        for user in range(_USERS):
            users.start_soon(use, user)
        users.start_soon(anyio.sleep_forever)


_MODES: Mapping[str, Callable[[Order], Awaitable[None]]] = {
    "race": race,
    "stop_submitting": one,
    "stop_storing": one,
    "sweep": sweep,
    "serve": serve,
}


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _work(order: Order, parent: int) -> None:
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    say("born")
    anyio.run(_MODES[order.mode], order)


def _fork(order: Order) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        _work(order, parent)
        status = 0
    finally:
        if status:
            sys.excepthook(*sys.exc_info())
            say("broken")
        os._exit(status)


def main() -> None:
    # Nobody is waited for before the end: until then no process id is given to another process.
    children: list[int] = []
    try:
        for line in sys.stdin:
            child = _fork(Order(**json.loads(line)))
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)


if __name__ == "__main__":
    main()
