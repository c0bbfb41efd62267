"""Records survive the way to a row and back."""

import json
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

from hypothesis import given
from hypothesis import strategies as st

from ttsorch.errors import Category
from ttsorch.models import (
    ErrorInfo,
    Generation,
    JsonValue,
    Phase,
    Status,
    StoredAudio,
    Task,
    TaskKind,
    Voice,
    VoiceSource,
)
from ttsorch.store._rows import (
    from_microseconds,
    generation_from_row,
    generation_to_row,
    task_from_row,
    task_to_row,
    to_microseconds,
    voice_from_row,
    voice_to_row,
)

_TEXT = st.text(max_size=20)
_COUNT = st.integers(0, 2**62)
_FLOAT = st.floats(allow_nan=False, allow_infinity=False)
_ZONES = st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours)))
_TIME = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001 - hypothesis wants naive bounds
    max_value=datetime(9998, 1, 1),  # noqa: DTZ001
    timezones=_ZONES,
)
_JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | _FLOAT | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_OBJECT = st.dictionaries(_TEXT, _JSON, max_size=3)
_ERROR = st.builds(
    ErrorInfo,
    category=st.sampled_from(Category),
    code=_TEXT,
    message=_TEXT,
    detail=st.none() | _TEXT,
    retryable=st.booleans(),
    retry_after=st.none() | _FLOAT,
    provider_code=st.none() | _TEXT,
    request_id=st.none() | _TEXT,
    ambiguous=st.booleans(),
    started=st.booleans(),
)
_AUDIO = st.builds(
    StoredAudio, key=_TEXT, size=_COUNT, sha256=_TEXT, content_type=_TEXT, duration=_FLOAT
)
_VOICE = st.builds(
    Voice,
    id=_TEXT,
    name=_TEXT,
    tts_provider=_TEXT,
    owner=st.none() | _TEXT,
    source=st.sampled_from(VoiceSource),
    language=_TEXT,
    description=st.none() | _TEXT,
    reference_transcript=st.none() | _TEXT,
    reference_audio_key=st.none() | _TEXT,
    provider_voice_id=st.none() | _TEXT,
    provider_target_model=st.none() | _TEXT,
    provider_voice_kind=st.none() | _TEXT,
    created_at=st.none() | _TIME,
    deleted_at=st.none() | _TIME,
)
_GENERATION = st.builds(
    Generation,
    id=_TEXT,
    owner=_TEXT,
    task_id=_TEXT,
    voice_id=_TEXT,
    voice_name=_TEXT,
    text=_TEXT,
    language=_TEXT,
    created_at=_TIME,
    status=st.sampled_from(Status),
    audio=st.none() | _AUDIO,
    error_message=st.none() | _TEXT,
    completed_at=st.none() | _TIME,
)
_TASK = st.builds(
    Task,
    id=_TEXT,
    owner=_TEXT,
    provider=_TEXT,
    voice=_VOICE,
    characters=_COUNT,
    created_at=_TIME,
    updated_at=_TIME,
    accept_by=_TIME,
    finish_by=_TIME,
    kind=st.sampled_from(TaskKind),
    generation_id=st.none() | _TEXT,
    options=_OBJECT,
    idempotency_key=st.none() | _TEXT,
    payload_hash=st.none() | _TEXT,
    phase=st.sampled_from(Phase),
    version=_COUNT,
    fence=_COUNT,
    lease_until=st.none() | _TIME,
    next_action_at=st.none() | _TIME,
    attempts=_COUNT,
    resubmits=_COUNT,
    outcome_open=st.booleans(),
    finalize_attempts=_COUNT,
    poll_count=_COUNT,
    ticket=st.none() | _OBJECT,
    envelope=st.none() | _OBJECT,
    result_expires_at=st.none() | _TIME,
    word=st.none() | _TEXT,
    elapsed=st.none() | _FLOAT,
    progress=st.none() | _FLOAT,
    error=st.none() | _ERROR,
    audio=st.none() | _AUDIO,
    cancel_owed=st.booleans(),
    cancel_attempts=_COUNT,
    submitted_at=st.none() | _TIME,
    completed_at=st.none() | _TIME,
    deleted_at=st.none() | _TIME,
)


@given(_TASK)
def test_task_round_trip(task: Task) -> None:
    """A task comes back equal, whatever its fields hold."""
    assert task_from_row(task_to_row(task)) == task


@given(_GENERATION)
def test_generation_round_trip(generation: Generation) -> None:
    """A generation comes back equal, whatever its fields hold."""
    assert generation_from_row(generation_to_row(generation)) == generation


@given(_VOICE)
def test_voice_round_trip(voice: Voice) -> None:
    """A voice comes back equal, whatever its fields hold."""
    assert voice_from_row(voice_to_row(voice)) == voice


@given(_TIME)
def test_times_are_exact_and_in_utc(moment: datetime) -> None:
    """To the microsecond, also far from today, and always in UTC."""
    back = from_microseconds(to_microseconds(moment))
    assert back == moment
    assert back.tzinfo is UTC


@given(_TIME, _TIME)
def test_microseconds_order_like_times(one: datetime, other: datetime) -> None:
    """Comparing the numbers in a query is comparing the times."""
    assert (one < other) == (to_microseconds(one) < to_microseconds(other))


@given(_TASK)
def test_active_is_what_is_not_terminal(task: Task) -> None:
    """The column that queries go by agrees with the task's status."""
    assert task_to_row(task)["active"] == (not task.status.terminal)


def test_any_mapping_can_be_stored() -> None:
    """A provider's ticket is a Mapping, which need not be a dict."""
    inner: MappingProxyType[str, JsonValue] = MappingProxyType({"b": (1, 2)})
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    task = Task(
        id="t",
        owner="o",
        provider="p",
        voice=Voice(id="v", name="v", tts_provider="p"),
        characters=1,
        created_at=moment,
        updated_at=moment,
        accept_by=moment,
        finish_by=moment,
        ticket=MappingProxyType({"a": inner}),
    )
    assert json.loads(str(task_to_row(task)["ticket"])) == {"a": {"b": [1, 2]}}
