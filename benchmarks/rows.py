"""Rows as they are in the middle of a job's life."""

import uuid
from datetime import UTC, datetime, timedelta

from ttsorch.models import Generation, Job, Phase, Task, Ticket
from ttsorch.testing.speech import a_voice


def a_running_job(owner: str, provider: str, ticket: Ticket) -> Job:
    """A task that its provider has taken a minute ago, with its generation."""
    now = datetime.now(UTC)
    task_id, generation_id = str(uuid.uuid4()), str(uuid.uuid4())
    voice = a_voice(provider)
    task = Task(
        id=task_id,
        owner=owner,
        provider=provider,
        voice=voice,
        characters=13,
        created_at=now - timedelta(minutes=1),
        updated_at=now - timedelta(minutes=1),
        accept_by=now + timedelta(hours=1),
        finish_by=now + timedelta(hours=24),
        generation_id=generation_id,
        phase=Phase.RUNNING,
        next_action_at=now + timedelta(hours=1),
        attempts=1,
        ticket=ticket,
        word="running",
    )
    generation = Generation(
        id=generation_id,
        owner=owner,
        task_id=task_id,
        voice_id=voice.id,
        voice_name=voice.name,
        text="Hello, world.",
        language="Auto",
        created_at=task.created_at,
        status=task.status,
    )
    return Job(task, generation)
