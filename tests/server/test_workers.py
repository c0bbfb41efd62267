"""Several processes over one database and one folder of blobs, as behind a load balancer: what one of them
acknowledged, all of them know at once, and finish when it dies."""

import signal
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import httpx
import pytest

from tests.server.running import PATIENCE, Running, end, start
from tests.server.speaking import an_english_voice, loudest_sample
from tests.server.test_promises import wait_until

WORKERS = 3
#: At once, and in all.
CLIENTS, REQUESTS = 12, 120

Workers = Sequence[Running]


@contextmanager
def over(folder: Path) -> Iterator[Workers]:
    """So many workers over the data in ``folder``."""
    with ThreadPoolExecutor(WORKERS) as pool, ExitStack() as stack:
        starting = [pool.submit(start, folder) for _ in range(WORKERS)]
        for each in starting:
            stack.callback(end, each.result())
        yield [each.result() for each in starting]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def workers(folder: Path) -> Iterator[Workers]:
    """For the tests that leave them alive."""
    with over(folder) as started:
        yield started


def rows(folder: Path, query: str, *values: str) -> list[tuple[object, ...]]:
    """What the database holds, behind everybody's back."""
    with closing(sqlite3.connect(f"file:{folder / 'ttsorch.db'}?mode=ro", uri=True)) as database:
        return database.execute(query, values).fetchall()


def test_what_one_worker_acknowledged_every_other_one_knows(workers: Workers, folder: Path) -> None:
    """Twelve clients hammer generate on one worker and ask for the task on the others, with the 200 hardly
    read: both rows are there each time, and no answer is ever a 404."""
    with ExitStack() as stack:
        clients = [stack.enter_context(worker.client()) for worker in workers]
        voice = an_english_voice(clients[0])

        def speak_then_look_elsewhere(number: int) -> tuple[str, list[int]]:
            mine, *others = islice(cycle(clients), number % WORKERS, number % WORKERS + WORKERS)
            first = mine.post("/api/generate", json={"voice_id": voice, "text": f"{number}."})
            assert first.status_code == 200, first.text
            ids = first.json()
            answers = [other.get(f"/api/tasks/{ids['task_id']}") for other in others]
            assert {answer.json()["generation_id"] for answer in answers} == {ids["generation_id"]}
            (row,) = rows(
                folder,
                "SELECT t.id, g.text FROM tasks t JOIN generations g ON g.task_id = t.id WHERE t.id = ?",
                ids["task_id"],
            )
            assert row == (ids["task_id"], f"{number}.")
            return ids["task_id"], [answer.status_code for answer in answers]

        with ThreadPoolExecutor(CLIENTS) as pool:
            done = list(pool.map(speak_then_look_elsewhere, range(REQUESTS)))
    assert {status for _, statuses in done for status in statuses} == {200}
    assert len({task for task, _ in done}) == REQUESTS
    for worker in workers:
        assert "Traceback" not in worker.log.read_text()


def test_one_key_on_every_worker_is_one_job(workers: Workers, folder: Path) -> None:
    """The same request with the same key, from all sides at once."""
    with ExitStack() as stack:
        clients = [stack.enter_context(worker.client()) for worker in workers]
        voice = an_english_voice(clients[0])

        def speak(number: int) -> dict[str, object]:
            answer = clients[number % WORKERS].post(
                "/api/generate",
                json={"voice_id": voice, "text": "Once."},
                headers={"idempotency-key": "once"},
            )
            assert answer.status_code == 200, answer.text
            body: dict[str, object] = answer.json()
            return body

        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(speak, range(32)))
    assert answers == [answers[0]] * 32
    found = rows(folder, "SELECT id FROM tasks WHERE idempotency_key = ?", "once")
    assert found == [(answers[0]["task_id"],)]


def test_a_worker_that_dies_right_after_its_200_leaves_its_jobs_to_the_others(
    tmp_path: Path,
) -> None:
    """kill -9 with the answers hardly read: the others know every task at once, and all of them become
    audible speech, once each."""
    with over(tmp_path) as workers:
        taken = acknowledged_by_the_dead(workers[0])
        everything_is_finished(workers[1:], taken)
    named = rows(tmp_path, "SELECT audio_key FROM generations")
    assert len({*named}) == len(taken)
    for (key,) in named:
        assert (tmp_path / "blobs" / str(key)).is_file()


def acknowledged_by_the_dead(doomed: Running) -> list[dict[str, str]]:
    with doomed.client() as client:
        voice = an_english_voice(client)

        def speak(number: int) -> dict[str, str]:
            body = {"voice_id": voice, "text": f"Sentence number {number}."}
            answer = client.post("/api/generate", json=body)
            assert answer.status_code == 200, answer.text
            acknowledged: dict[str, str] = answer.json()
            return acknowledged

        with ThreadPoolExecutor(6) as pool:
            taken = list(pool.map(speak, range(6)))
        doomed.stop(signal.SIGKILL)
    return taken


def everything_is_finished(others: Workers, taken: list[dict[str, str]]) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(worker.client()) for worker in others]
        for client in clients:
            for ids in taken:
                assert client.get(f"/api/tasks/{ids['task_id']}").status_code == 200
        for ids in taken:
            wait_until("the end", PATIENCE, partial(ended, clients[0], ids["task_id"]))
        for client in clients:
            for ids in taken:
                assert client.get(f"/api/tasks/{ids['task_id']}").json()["status"] == "completed"
                path = f"/api/generations/{ids['generation_id']}/audio"
                audio = client.get(path, follow_redirects=True)
                assert loudest_sample(audio.content) > 1000


def ended(client: httpx.Client, task_id: str) -> bool:
    """Asked now and then: each poll is a write."""
    threading.Event().wait(0.1)
    return client.get(f"/api/tasks/{task_id}").json()["status"] not in ("pending", "processing")
