"""The part of the task store's suite about listings: tasks, generations, and which blobs are in use."""

from datetime import timedelta

import pytest

from ttsorch.models import Generation, Job, Page, Status, TaskKind
from ttsorch.protocols import TaskStore
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    Move,
    audio_key,
    cancelled,
    completed,
    generation_of,
    new_clone,
    new_job,
    new_preview,
    running,
    started,
    stored,
    voice_made,
)

#: A search and a text, and whether the one is in the other.
SEARCHES = [
    ("hello", "Oh, HELLO there", True),
    ("ÉCOLE", "une école", True),
    ("strasse", "Hauptstraße 1", True),
    ("STRAßE", "hauptstrasse", True),
    ("σίσυφος", "ΣΊΣΥΦΟΣ", True),
    ("привет", "ПРИВЕТ мир", True),
    ("世界", "你好，世界", True),
    ("👩‍👩‍👧‍👦", "a 👩‍👩‍👧‍👦 family", True),
    ("100%", "100% sure", True),
    ("100%", "1000 times", False),
    ("a_b", "a_b", True),
    ("a_b", "axb", False),
    ("%", "no percent", False),
    ("\\", "back\\slash", True),
    ("\\", "no backslash", False),
    ("'", "it's", True),
    ("", "anything", True),
    ("  ", "one space", False),
    ("hello", "help", False),
]


def _texts(page: Page[Generation]) -> list[str]:
    return [generation.text for generation in page.items]


async def _history(store: TaskStore, *texts: str) -> None:
    """One job for each text, the first one newest."""
    now = store.now()
    for age, text in enumerate(texts):
        await stored(store, new_job(now - timedelta(seconds=age), text=text))


class HistoryCases:
    # --- tasks ----------------------------------------------------------------------------------------

    async def test_list_tasks_newest_first(self, store: TaskStore) -> None:
        """At most limit of the owner's tasks, newest first, each with its generation."""
        now = store.now()
        jobs = [
            await stored(store, new_job(now - timedelta(seconds=age))) for age in (20, 40, 10, 30)
        ]
        await stored(store, new_job(now, owner=BEN))
        newest_first = [jobs[2], jobs[0], jobs[3], jobs[1]]
        assert list(await store.list_tasks(ANNA)) == newest_first
        assert list(await store.list_tasks(ANNA, limit=2)) == newest_first[:2]
        assert list(await store.list_tasks("nobody")) == []

    async def test_list_tasks_in_slices(self, store: TaskStore) -> None:
        """Going on from the last one seen shows each task once, also where times are equal."""
        now = store.now()
        for age in (0, 0, 0, 0, 1, 1, 1, 2):
            await stored(store, new_job(now - timedelta(microseconds=age)))
        whole = await store.list_tasks(ANNA)
        seen: list[Job] = []
        before = None
        while piece := await store.list_tasks(ANNA, before=before, limit=3):
            seen += piece
            before = (piece[-1].task.created_at, piece[-1].task.id)
        assert len(seen) == 8
        assert seen == list(whole)

    async def test_list_tasks_of_one_kind_or_state(self, store: TaskStore) -> None:
        """The filters leave out ended tasks, active ones, and those of another kind."""
        now = store.now()
        job = await stored(store, new_job(now - timedelta(seconds=3)), running)
        done = await stored(store, new_job(now - timedelta(seconds=2)), completed)
        preview = await stored(store, new_preview(now - timedelta(seconds=1)))
        assert list(await store.list_tasks(ANNA, active=True)) == [preview, job]
        assert list(await store.list_tasks(ANNA, active=False)) == [done]
        assert list(await store.list_tasks(ANNA, kind=TaskKind.DESIGN_PREVIEW)) == [preview]
        generating = await store.list_tasks(ANNA, kind=TaskKind.GENERATE, active=True)
        assert list(generating) == [job]
        rest = await store.list_tasks(ANNA, before=(now - timedelta(seconds=1), ""), active=True)
        assert list(rest) == [job]

    async def test_list_tasks_leaves_out_deleted_ones(self, store: TaskStore) -> None:
        """A deleted task is not listed; one whose generation was deleted is, without it."""
        now = store.now()
        hidden = await stored(store, new_job(now))
        bare = await stored(store, new_job(now))
        await store.delete_task(ANNA, hidden.task.id)
        await store.delete_generation(ANNA, generation_of(bare).id)
        listed = await store.list_tasks(ANNA)
        assert [(job.task, job.generation) for job in listed] == [(bare.task, None)]

    # --- generations ----------------------------------------------------------------------------------

    async def test_list_generations_newest_first(self, store: TaskStore) -> None:
        """The owner's generations, newest first, as they were written."""
        now = store.now()
        old = await stored(store, new_job(now - timedelta(seconds=2)), completed)
        new = await stored(store, new_job(now - timedelta(seconds=1)), cancelled)
        await stored(store, new_job(now, owner=BEN))
        page = await store.list_generations(ANNA)
        assert page.items == (generation_of(new), generation_of(old))
        assert (page.page, page.per_page, page.total) == (1, 20, 2)

    async def test_list_generations_by_page(self, store: TaskStore) -> None:
        """Pages follow on one another, also where times are equal; total counts all pages."""
        now = store.now()
        jobs = [await stored(store, new_job(now)) for _ in range(7)]
        pages = [await store.list_generations(ANNA, page=n, per_page=3) for n in (1, 2, 3)]
        assert [len(page.items) for page in pages] == [3, 3, 1]
        assert [(page.page, page.per_page, page.total, page.pages) for page in pages] == [
            (1, 3, 7, 3),
            (2, 3, 7, 3),
            (3, 3, 7, 3),
        ]
        seen = [generation for page in pages for generation in page.items]
        assert sorted(g.id for g in seen) == sorted(generation_of(job).id for job in jobs)
        assert (await store.list_generations(ANNA)).items == tuple(seen)

    @pytest.mark.parametrize("number", [3, 10**6, 2**63, 10**30])
    async def test_a_page_past_the_end_is_empty(self, store: TaskStore, number: int) -> None:
        """However far past the end, a page is empty and still knows the total."""
        await _history(store, "one", "two")
        page = await store.list_generations(ANNA, page=number, per_page=1)
        assert (page.items, page.page, page.total) == ((), number, 2)

    @pytest.mark.parametrize(("search", "text", "found"), SEARCHES)
    async def test_search(self, store: TaskStore, search: str, text: str, found: bool) -> None:
        """A search finds substrings by Unicode case folding and takes no character as a wildcard."""
        await _history(store, text)
        page = await store.list_generations(ANNA, search=search)
        assert _texts(page) == ([text] if found else [])
        assert page.total == int(found)

    async def test_search_is_paged(self, store: TaskStore) -> None:
        """A page and its total count only what the search finds, and only the owner's."""
        await _history(store, "Cat one", "dog", "cat two", "CAT three")
        await stored(store, new_job(store.now(), owner=BEN, text="cat of Ben"))
        page = await store.list_generations(ANNA, search="cat", page=2, per_page=2)
        assert (_texts(page), page.total) == (["CAT three"], 3)

    @pytest.mark.parametrize(
        ("move", "status"),
        [
            (running, Status.PROCESSING),
            (completed, Status.COMPLETED),
            (cancelled, Status.CANCELLED),
        ],
    )
    async def test_list_generations_of_one_status(
        self, store: TaskStore, move: Move, status: Status
    ) -> None:
        """The status filter shows those in that status only, and combines with a search."""
        await stored(store, new_job(store.now(), text="pending cat"))
        job = await stored(store, new_job(store.now(), text="moved cat"), move)
        await stored(store, new_job(store.now(), text="moved dog"), move)
        page = await store.list_generations(ANNA, status=(status,), search="cat")
        assert page.items == (generation_of(job),)
        assert (await store.list_generations(ANNA, status=(status,))).total == 2
        assert (await store.list_generations(ANNA, status=(Status.FAILED,))).total == 0

    async def test_list_generations_of_several_statuses(self, store: TaskStore) -> None:
        """Several statuses show those in any of them, in one order, page by page."""
        now = store.now()
        moves = [None, completed, running, cancelled, None]
        jobs = [
            await stored(store, new_job(now - timedelta(seconds=age)), move)
            for age, move in enumerate(moves)
        ]
        wanted = (Status.PENDING, Status.PROCESSING)
        pages = [
            await store.list_generations(ANNA, status=wanted, page=n, per_page=2) for n in (1, 2)
        ]
        assert [page.items for page in pages] == [
            (generation_of(jobs[0]), generation_of(jobs[2])),
            (generation_of(jobs[4]),),
        ]
        assert [page.total for page in pages] == [3, 3]

    # --- blobs in use ---------------------------------------------------------------------------------

    async def test_unreferenced(self, store: TaskStore) -> None:
        """Keys that a generation or a task without one names are in use; of the rest each is returned."""
        job = await stored(store, new_job(store.now()), completed)
        preview = await stored(store, new_preview(store.now()), completed)
        keys = ["garbage/2.wav", audio_key(job), "garbage/1.wav", audio_key(preview)]
        assert list(await store.unreferenced(keys)) == ["garbage/2.wav", "garbage/1.wav"]
        assert list(await store.unreferenced([])) == []

    async def test_clips_of_clones(self, store: TaskStore) -> None:
        """A clone holds its recording while it is under way, and for good once its voice was made, however
        it ended: the voice may still be added. One that ended without a voice holds nothing."""
        now = store.now()
        moves: list[tuple[Move | None, bool]] = [
            (None, True),
            (started, True),
            (voice_made, True),
            (lambda job, now: cancelled(voice_made(job, now), now), True),
            (lambda job, now: cancelled(started(job, now), now), False),
        ]
        clones = [(await stored(store, new_clone(now), move), held) for move, held in moves]
        keys = [job.task.voice.reference_audio_key or "" for job, _ in clones]
        free = [key for key, (_, held) in zip(keys, clones, strict=True) if not held]
        assert list(await store.unreferenced(keys)) == free

    async def test_only_clones_hold_a_recording(self, store: TaskStore) -> None:
        """Speech with a voice does not: that voice's own row does, for as long as it is there."""
        voice = new_clone(store.now()).task.voice
        await stored(store, new_job(store.now(), voice=voice), running)
        key = voice.reference_audio_key or ""
        assert list(await store.unreferenced([key])) == [key]

    async def test_audio_of_a_deleted_generation_is_unreferenced(self, store: TaskStore) -> None:
        """When a generation is deleted nothing holds its audio, though its task still names it; when
        only the task is deleted, the generation does."""
        job = await stored(store, new_job(store.now()), completed)
        await store.delete_task(ANNA, job.task.id)
        assert list(await store.unreferenced([audio_key(job)])) == []
        await store.delete_generation(ANNA, generation_of(job).id)
        assert list(await store.unreferenced([audio_key(job)])) == [audio_key(job)]
