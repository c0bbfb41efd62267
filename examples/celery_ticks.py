"""Ticks from Celery: workers take steps, and beat sweeps.

Settings are those of the reference server (``TTSORCH_DATABASE_URL``, ``TTSORCH_BLOB_URL``,
``TTS_PROVIDER_MODE``, ...), and ``CELERY_BROKER_URL``; ``filesystem://`` needs no broker, only a folder that
all processes share (``CELERY_FOLDER``). Run ``ttsorch migrate`` once, and then, each in a terminal::

    celery -A examples.celery_ticks worker --pool threads --queues ttsorch
    celery -A examples.celery_ticks beat
    python -m examples.celery_ticks "Hello, world."

Celery may lose a message, run it twice or late: the sweep finds what is due in the task store. So messages
are neither acknowledged late nor retried, and there is no result backend.
"""

import os
import sys
from functools import cache
from pathlib import Path
from threading import Lock

from celery import Celery
from celery.signals import worker_process_shutdown, worker_shutdown

from ttsorch.config import LOCAL_OWNER, Config, open_orchestrator
from ttsorch.errors import NotFound
from ttsorch.models import Job, SpeechRequest
from ttsorch.sync import SyncOrchestrator

SWEEP_EVERY = 5.0
#: Seconds, where the row doesn't say when it is due next.
LOOK_AGAIN = 5.0

_opening = Lock()


def _options(broker: str) -> dict[str, str]:
    if not broker.startswith("filesystem://"):
        return {}
    folder = Path(os.environ.get("CELERY_FOLDER", "data/celery"))
    paths = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
    for name in set(paths.values()):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {option: str(folder / name) for option, name in paths.items()}


_BROKER = os.environ.get("CELERY_BROKER_URL", "filesystem://")
app = Celery("ttsorch", broker=_BROKER)
app.conf.update(
    broker_transport_options=_options(_BROKER),
    task_default_queue="ttsorch",
    task_ignore_result=True,
    # A sweep that waits for too long is of no use; the next one is there already.
    beat_schedule={
        "sweep": {
            "task": "ttsorch.sweep",
            "schedule": SWEEP_EVERY,
            "options": {"expires": SWEEP_EVERY},
        }
    },
)


def speech() -> SyncOrchestrator:
    """This process's orchestrator, opened by the first task and so after any fork. Nothing runs in its
    background, and its polls leave long calls to the workers."""
    with _opening:  # a pool of threads may begin with several tasks at once
        return _opened()


@cache
def _opened() -> SyncOrchestrator:
    config = Config.from_env(os.environ)
    running = SyncOrchestrator(
        lambda: open_orchestrator(config, background=False, polls_synthesize=False)
    )
    running.start()
    return running


@worker_shutdown.connect
@worker_process_shutdown.connect
def close(**_: object) -> None:
    """Let what has begun land."""
    with _opening:
        if _opened.cache_info().currsize:
            _opened().close()
            _opened.cache_clear()


@app.task(name="ttsorch.step")
def step(task_id: str, owner: str) -> None:
    """One step, and a message for the next one."""
    try:
        job = speech().step(task_id, owner=owner)
    except NotFound:
        return  # deleted meanwhile
    if not job.task.status.terminal:
        step.apply_async((task_id, owner), countdown=_seconds_to_next(job))


@app.task(name="ttsorch.sweep")
def sweep() -> None:
    """What no message came for."""
    speech().sweep_once()


def submit(text: str, voice_name: str, *, owner: str = LOCAL_OWNER) -> Job:
    """What a web request does: the row first, the message after it. If the message is lost, or this dies in
    between, the sweep finds the row."""
    voice = next(each for each in speech().builtin_voices() if each.name == voice_name)
    job = speech().submit(SpeechRequest(text, voice), owner=owner)
    step.delay(job.task.id, owner)
    return job


def _seconds_to_next(job: Job) -> float:
    due = job.task.next_action_at
    wait = (due - speech().now()).total_seconds() if due else 0.0
    return wait if wait > 0 else LOOK_AGAIN


if __name__ == "__main__":
    print(submit(sys.argv[1], os.environ.get("VOICE", "English (America)")).task.id)
    close()
