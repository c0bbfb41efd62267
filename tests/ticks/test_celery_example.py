"""The Celery example, run in this process: its tasks are called where they would be sent."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from ttsorch.config import LOCAL_OWNER
from ttsorch.models import Phase, Status
from ttsorch.store import migrate_task_store

with pytest.MonkeyPatch.context() as patch:
    patch.setenv("CELERY_BROKER_URL", "memory://")  # the default one makes a folder
    from examples import celery_ticks

_VOICE = "English (America)"


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    database = f"sqlite:///{tmp_path}/speech.db"
    monkeypatch.setenv("TTSORCH_DATABASE_URL", database)
    monkeypatch.setenv("TTSORCH_BLOB_URL", (tmp_path / "blobs").as_uri())
    monkeypatch.setenv("TTS_PROVIDER_MODE", "local")
    anyio.run(migrate_task_store, database)
    yield
    celery_ticks.close()


@pytest.fixture
def _eagerly() -> Iterator[None]:
    names = ("task_always_eager", "task_eager_propagates")
    celery_ticks.app.conf.update(dict.fromkeys(names, True))
    yield
    celery_ticks.app.conf.update(dict.fromkeys(names, False))


@pytest.mark.usefixtures("_eagerly")
def test_a_message_makes_the_speech() -> None:
    """Submit sends a step, and the step completes a task of the embedded engine."""
    job = celery_ticks.submit("Hello.", _VOICE)
    assert job.task.phase is Phase.QUEUED
    job = celery_ticks.speech().get(job.task.id, owner=LOCAL_OWNER)
    assert job.task.status is Status.COMPLETED


def test_the_sweep_makes_a_lost_message_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that never arrives costs time and nothing else."""
    monkeypatch.setattr(celery_ticks.step, "delay", lambda *_: None)
    job = celery_ticks.submit("Hello.", _VOICE)
    tts = celery_ticks.speech()
    assert tts.poll_once(job.task.id, owner=LOCAL_OWNER).task.phase is Phase.QUEUED
    celery_ticks.sweep.apply(throw=True)
    assert tts.get(job.task.id, owner=LOCAL_OWNER).task.status is Status.COMPLETED


def test_a_step_of_a_deleted_task_ends_quietly() -> None:
    """Messages may outlive their task."""
    celery_ticks.step.apply(("gone", LOCAL_OWNER), throw=True)


def test_beat_sweeps() -> None:
    """The schedule names a task that there is."""
    assert celery_ticks.app.conf.beat_schedule["sweep"]["task"] in celery_ticks.app.tasks
