"""What an older backend had is there after the import, under the ids and URLs that its clients know."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest

from examples.migrate_v1 import ACTIVE, IMPORTED, LEFT, PRESENT, Report, Target, migrate
from examples.v1_export import Export
from tests.contract.world import World, a_world
from tests.migration import old_backend
from tests.migration.old_backend import (
    CANCELLED,
    CLIP,
    DELETED_VOICE,
    DESIGNED,
    DONE,
    DONE_TASK,
    FAILED,
    OTHER_SPEECH,
    RUNNING,
    RUNNING_TASK,
    SPEECH,
    VOICE,
    WITHOUT_TASK,
    Row,
    write_export,
)
from tests.server.running import ROOT, environment, running
from tests.vendors.on_sockets import a_modal_voice, a_short_clip
from ttsorch.errors import ValidationError
from ttsorch.models import Attempt, Clip, Policy, SpeechRequest
from ttsorch.orchestrator import Orchestrator
from ttsorch.providers.modal import ModalProvider
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.fake_modal import fake_modal
from ttsorch.testing.invariants import check_blobs, check_rows

pytestmark = pytest.mark.anyio

#: The command's own process has one event loop, whichever the test runs on.
on_one_loop = pytest.mark.parametrize("anyio_backend", ["asyncio"])


def in_memory(world: World) -> MemoryTaskStore:
    """The world's store, whose rows can be looked at from behind."""
    assert isinstance(world.store, MemoryTaskStore)
    return world.store


async def imported(folder: Path, world: World, **how: bool) -> Report:
    return await migrate(Export(folder), Target(world.store, world.store, world.blobs, **how))


async def everything(world: World) -> object:
    """All rows and blobs, to compare with later."""
    blobs = sorted([blob.key async for blob in world.blobs.list("")])
    store = in_memory(world)
    return blobs, dict(store._tasks), dict(store._generations), dict(store._voices)


async def test_the_old_ids_and_urls_work(tmp_path: Path) -> None:
    """A client that was built for the old backend reads its history, plays its audio and finds its voices."""
    async with a_world() as world:
        report = await imported(write_export(tmp_path), world)
        assert report.refusals == []
        history = await world.ask("GET", "/api/generations?search=morning&status=completed")
        line = history.only("generations")
        assert (line["id"], line["voice_id"], line["voice_name"]) == (DONE, VOICE, "Vera")
        assert (line["duration_seconds"], line["generation_time_seconds"]) == (0.5, 12.5)
        assert line["created_at"] == "2025-03-01T10:00:00Z"
        link = await world.audio_link(DONE)
        assert (await world.ask("GET", link, owner=None)).content == SPEECH
        task = await world.poll(DONE_TASK)
        assert task["result"] == {"audio_url": f"/api/generations/{DONE}/audio"}
        voices = await world.ask("GET", "/api/voices?source=uploaded")
        assert voices.only("voices")["id"] == VOICE
        preview = await world.ask("GET", f"/api/voices/{VOICE}/preview")
        assert (await world.ask("GET", preview.headers["location"], owner=None)).content == CLIP


async def test_an_imported_voice_speaks(tmp_path: Path) -> None:
    """Its id is what clients send."""
    async with a_world() as world:
        await imported(write_export(tmp_path), world)
        send = {"voice_id": VOICE, "text": "Again."}
        answer = await world.ask("POST", "/api/generate", send=send)
        assert answer.status == 200, answer.content


async def test_a_paid_voice_keeps_all_that_its_provider_knows_it_by(tmp_path: Path) -> None:
    """Nothing of what was paid for gets lost, though another provider is at work just now."""
    async with a_world() as world:
        await imported(write_export(tmp_path), world)
        voice = (await world.ask("GET", "/api/voices?source=designed")).only("voices")
        assert (voice["tts_provider"], voice["provider_voice_id"]) == ("qwen", "qwen-tts-vd-1")
        assert voice["provider_target_model"] == "qwen3-tts-vd-2026-01-26"
        assert (voice["provider_voice_kind"], voice["id"]) == ("vd", DESIGNED)


async def test_each_row_has_its_fate(tmp_path: Path) -> None:
    """Every row is counted once."""
    async with a_world() as world:
        report = await imported(write_export(tmp_path), world)
    assert report.counts == {
        ("voices", IMPORTED): 3,
        ("generations", IMPORTED): 4,
        ("generations", ACTIVE): 1,
        ("tasks", LEFT): 1,
    }


async def test_what_was_imported_keeps_the_invariants(tmp_path: Path) -> None:
    """Task and generation agree, the blob is what the row says, and no blob is an orphan."""
    async with a_world() as world:
        await imported(write_export(tmp_path), world)
        jobs = [in_memory(world)._job(task) for task in in_memory(world)._tasks.values()]
        assert len(jobs) == 4
        for job in jobs:
            check_rows(job)
        await check_blobs(jobs, world.blobs)
        world.clock.advance(2 * Policy().orphan_grace)
        assert await world.orchestrator.collect_orphans() == []


async def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    """Also not what the owners did in between: what they deleted stays deleted."""
    async with a_world() as world:
        await imported(write_export(tmp_path), world)
        await world.orchestrator.delete_generation(DONE, owner="ann")
        await world.orchestrator.delete_voice(VOICE, owner="ann")
        before = await everything(world)
        # The recording is put again, since a deleted voice can't be told from one that never was.
        report = await imported(tmp_path, world)
        assert await everything(world) == before
        assert report.counts["voices", PRESENT] == 3
        assert report.counts["generations", PRESENT] == 4
        assert (await world.ask("GET", f"/api/generations/{DONE}/audio")).status == 404


async def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    """Refusals included: they can be mended before anything is written."""
    broken: list[Row] = [*old_backend.voice_rows(), {"id": "no id at all"}]
    write_export(tmp_path, voices=broken)
    async with a_world() as world:
        before = await everything(world)
        dry = await imported(tmp_path, world, dry_run=True)
        assert await everything(world) == before
        assert await imported(tmp_path, world) == dry


async def test_a_soft_deleted_voice_stays_hidden_and_named(tmp_path: Path) -> None:
    """R13: the history goes on saying who spoke."""
    async with a_world() as world:
        await imported(write_export(tmp_path), world)
        assert (await world.ask("GET", f"/api/voices/{DELETED_VOICE}/preview")).status == 404
        line = (await world.ask("GET", "/api/generations?status=cancelled")).only("generations")
        assert (line["id"], line["voice_name"]) == (CANCELLED, "Gone")
        assert line["error_message"] == "Cancelled by user"


async def test_what_a_vendor_said_is_not_shown(tmp_path: Path) -> None:
    """Older servers kept raw bodies as error messages."""
    async with a_world() as world:
        await imported(write_export(tmp_path), world)
        line = (await world.ask("GET", "/api/generations?status=failed")).only("generations")
        assert (line["id"], line["error_message"]) == (FAILED, "The generation failed.")


async def test_a_plain_sentence_of_the_old_server_is_kept(tmp_path: Path) -> None:
    """It was made for people."""
    rows = [old_backend.generation_rows()[1] | {"error_message": "The text was\n refused."}]
    async with a_world() as world:
        await imported(write_export(tmp_path, generations=rows), world)
        line = (await world.ask("GET", "/api/generations")).only("generations")
        assert line["error_message"] == "The text was refused."


async def test_a_generation_whose_task_was_deleted_has_no_task_to_see(tmp_path: Path) -> None:
    """Its owner sees the history and the audio; the voice is gone, and regenerate says so."""
    async with a_world() as world:
        await imported(write_export(tmp_path), world)
        line = (await world.ask("GET", "/api/generations", owner="bob")).only("generations")
        assert (line["id"], line["voice_name"]) == (WITHOUT_TASK, "Deleted voice")
        assert await world.jobs("bob") == []
        again = await world.ask("POST", f"/api/generations/{WITHOUT_TASK}/regenerate", owner="bob")
        assert (again.status, again.detail) == (400, "Generation has no voice_id.")
        link = await world.ask("GET", f"/api/generations/{WITHOUT_TASK}/audio", owner="bob")
        heard = await world.ask("GET", link.headers["location"], owner=None)
        assert heard.content == OTHER_SPEECH


async def test_another_owners_task_is_nobodys(tmp_path: Path) -> None:
    """Rows that contradict one another don't hand a task over."""
    tasks = [row | {"user_id": "eve"} for row in old_backend.task_rows()]
    async with a_world() as world:
        await imported(write_export(tmp_path, tasks=tasks), world)
        for owner in ("ann", "eve"):
            assert (await world.ask("GET", f"/api/tasks/{DONE_TASK}", owner=owner)).status == 404


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"id": "17"}, "id is no UUID"),
        ({"user_id": " "}, "user_id is missing"),
        ({"text": None}, "text is missing"),
        ({"text": "nul \0"}, "Text contains characters that cannot be spoken."),
        ({"status": "archived"}, "unknown status: archived"),
        ({"created_at": "yesterday"}, "created_at is no time"),
        ({"created_at": None}, "created_at is missing"),
        ({"audio_object_key": None}, "audio_object_key is missing"),
        ({"audio_object_key": "ann/lost.wav"}, "its audio is not in the export: ann/lost.wav"),
        *(
            ({"audio_object_key": key}, f"its audio is not under its owner's prefix: {key}")
            for key in (
                "../voices.jsonl",
                "bob/generations/4.wav",
                "ann/../bob/generations/4.wav",
                "annabel/1.wav",
            )
        ),
        ({"user_id": "."}, "its audio is not under its owner's prefix: ann/generations/1.wav"),
        ({"audio_object_key": "ann/page.html"}, "The file is not audio."),
        (
            {"audio_object_key": "ann/cut.wav", "duration_seconds": None},
            "The audio is broken, and nobody says how long it lasts.",
        ),
    ],
)
async def test_a_generation_that_can_not_be_imported_says_why(
    tmp_path: Path, wrong: Row, reason: str
) -> None:
    """And leaves no trace: no row, no audio."""
    files = old_backend.objects() | {
        "ann/page.html": b"<html>404</html>",
        "ann/cut.wav": SPEECH[:100],
        "annabel/1.wav": SPEECH,
    }
    rows = [old_backend.generation_rows()[0] | wrong]
    write_export(tmp_path, voices=[], generations=rows, files=files)
    async with a_world() as world:
        before = await everything(world)
        report = await imported(tmp_path, world)
        assert report.refusals == [f"generations {rows[0]['id']}: {reason}"]
        assert await everything(world) == before


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"source": "builtin"}, "unknown source: builtin"),
        ({"name": ""}, "name is missing"),
        (
            {"reference_object_key": "ann/lost.wav"},
            "its audio is not in the export: ann/lost.wav",
        ),
        (
            {"reference_object_key": "bob/generations/4.wav"},
            "its audio is not under its owner's prefix: bob/generations/4.wav",
        ),
    ],
)
async def test_a_voice_that_can_not_be_imported_says_why(
    tmp_path: Path, wrong: Row, reason: str
) -> None:
    """The history that it spoke is imported all the same."""
    rows = [old_backend.voice_rows()[0] | wrong]
    write_export(tmp_path, voices=rows, generations=old_backend.generation_rows()[:1])
    async with a_world() as world:
        report = await imported(tmp_path, world)
        assert report.refusals == [f"voices {VOICE}: {reason}"]
        assert report.counts["generations", IMPORTED] == 1


async def test_a_line_that_is_no_row_is_refused(tmp_path: Path) -> None:
    """The others are imported; an empty line is nothing."""
    write_export(tmp_path)
    file = tmp_path / "voices.jsonl"
    file.write_text(file.read_text("utf-8") + "\n[1]\n{broken\n", "utf-8")
    async with a_world() as world:
        report = await imported(tmp_path, world)
    assert report.refusals == 2 * ["voices (no id): unknown source: None"]
    assert report.counts["voices", IMPORTED] == 3


async def test_a_text_may_hold_any_line_break(tmp_path: Path) -> None:
    """JSON Lines ends its lines with a line feed only."""
    text = "First\u2028second\x85third"
    rows = [old_backend.generation_rows()[0] | {"text": text}]
    async with a_world() as world:
        await imported(write_export(tmp_path, generations=rows), world)
        line = (await world.ask("GET", "/api/generations")).only("generations")
        assert line["text"] == text


async def test_old_audio_that_can_not_be_measured_keeps_its_old_duration(tmp_path: Path) -> None:
    """Older servers published files with unfinished headers, and people listen to them."""
    rows = [old_backend.generation_rows()[0] | {"duration_seconds": 0.4}]
    files = {"ann/generations/1.wav": SPEECH[:-100]}
    async with a_world() as world:
        await imported(write_export(tmp_path, voices=[], generations=rows, files=files), world)
        line = (await world.ask("GET", "/api/generations")).only("generations")
        assert line["duration_seconds"] == 0.4


async def test_two_generations_do_not_share_a_task(tmp_path: Path) -> None:
    """The second of them is refused, and the import goes on."""
    rows = old_backend.generation_rows()
    tasks = [old_backend.task_rows()[0], old_backend.task_rows()[0] | {"generation_id": FAILED}]
    async with a_world() as world:
        report = await imported(write_export(tmp_path, generations=rows, tasks=tasks), world)
    assert report.refusals == [
        f"generations {FAILED}: another generation has its task: {DONE_TASK}"
    ]
    assert report.counts["generations", IMPORTED] == 3


async def test_other_audio_under_the_key_of_an_import_is_left_alone(tmp_path: Path) -> None:
    """Two exports that disagree: the first one counts."""
    async with a_world() as world:
        await imported(write_export(tmp_path, generations=[]), world)
        in_memory(world)._voices.clear()
        write_export(tmp_path, generations=[], files={"ann/voices/vera.wav": SPEECH})
        report = await imported(tmp_path, world)
        assert f"voices {VOICE}: There is other audio under the key of this import." in (
            report.refusals
        )
        assert in_memory(world)._voices.keys() == {DESIGNED}


async def test_what_finished_at_the_old_backend_comes_with_the_next_export(tmp_path: Path) -> None:
    """A task that is active at the first run is left to the old backend."""
    async with a_world() as world:
        await imported(write_export(tmp_path), world)
        assert (await world.ask("GET", f"/api/tasks/{RUNNING_TASK}")).status == 404
        rows = old_backend.generation_rows()
        rows[-1] |= {"status": "completed", "audio_object_key": "ann/generations/1.wav"}
        report = await imported(write_export(tmp_path, generations=rows), world)
        assert report.counts["generations", IMPORTED] == 1
        assert (await world.poll(RUNNING_TASK))["status"] == "completed"


async def test_an_active_modal_job_can_be_followed_from_here(tmp_path: Path) -> None:
    """With ``--take-over`` a poll asks Modal about the job that the old backend has paid for; no other one
    is paid."""
    async with fake_modal() as modal:
        provider = ModalProvider.from_env(modal.environ())
        job_id = await job_of_the_old_backend(provider)
        tasks = [row | {"modal_job_id": job_id} for row in old_backend.task_rows()]
        write_export(tmp_path, tasks=tasks)
        rows, blobs = MemoryTaskStore(), MemoryBlobStore()
        await migrate(Export(tmp_path), Target(rows, rows, blobs, take_over=True))
        taken = await rows.get("ann", RUNNING_TASK)
        assert taken is not None
        check_rows(taken)
        assert taken.task.finish_by > rows.now()
        async with Orchestrator(
            provider=provider, tasks=rows, voices=rows, blobs=blobs, background=False
        ) as tts:
            with anyio.fail_after(30):
                job = await tts.poll_once(RUNNING_TASK, owner="ann")
                while not job.task.status.terminal:
                    job = await tts.poll_once(RUNNING_TASK, owner="ann")
        assert job.task.status == "completed"
        assert job.generation is not None
        assert (job.generation.id, job.generation.created_at.year) == (RUNNING, 2025)
        assert len(modal.ledger.accepted_texts()) == 1
        await provider.aclose()


async def job_of_the_old_backend(provider: ModalProvider) -> str:
    """The id of a job that was submitted past our rows."""
    voice, clip = a_modal_voice("ann", "old/clip.wav"), Clip(a_short_clip(), "audio/wav")
    accepted = await provider.submit(
        SpeechRequest("Still at it.", voice, "English", clip=clip), Attempt("old-5")
    )
    return str(accepted.ticket["job_id"])


async def test_an_active_job_of_another_provider_can_not_be_followed(tmp_path: Path) -> None:
    """The one long call of a direct provider ends with the process that made it."""
    tasks = [row | {"provider": "qwen"} for row in old_backend.task_rows()]
    async with a_world() as world:
        report = await imported(write_export(tmp_path, tasks=tasks), world, take_over=True)
        assert report.counts["generations", ACTIVE] == 1


@on_one_loop
async def test_the_command_imports_for_the_reference_server(tmp_path: Path) -> None:
    """Over SQLite and a folder, as the manual has it: dry, then for real; then the server serves it."""
    export = tmp_path / "export"
    export.mkdir()
    write_export(export)
    settings = environment(tmp_path, TTSORCH_TOKENS="secret-of-ann=ann")

    def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "examples.migrate_v1", str(export), *arguments],
            cwd=ROOT,
            env=settings,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    dry = await anyio.to_thread.run_sync(command, "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert "generations: 4 imported (dry run)" in dry.stdout
    real = await anyio.to_thread.run_sync(command)
    assert (real.returncode, real.stderr) == (0, "")
    assert real.stdout.splitlines() == [
        "generations: 4 imported",
        "generations: 1 still active",
        "tasks: 1 left behind",
        "voices: 3 imported",
    ]
    with (
        running(tmp_path, TTSORCH_TOKENS="secret-of-ann=ann") as server,
        server.client("secret-of-ann") as client,
    ):
        heard = client.get(f"/api/generations/{DONE}/audio", follow_redirects=True)
    assert (heard.status_code, heard.content) == (200, SPEECH)
    (export / "voices.jsonl").write_text(json.dumps({"id": VOICE}) + "\n")
    refused = await anyio.to_thread.run_sync(command)
    assert refused.returncode == 1
    assert refused.stderr == f"refused: voices {VOICE}: unknown source: None\n"


@on_one_loop
async def test_a_folder_that_is_no_export_is_an_error(tmp_path: Path) -> None:
    """Instead of an import of nothing that went well: the folder may be mistyped, the dump have failed."""
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "voices.jsonl").write_text("")
    for folder, missing in (("nowhere", "voices.jsonl"), ("half", "generations.jsonl")):
        ended = await anyio.to_thread.run_sync(
            partial(
                subprocess.run,
                [sys.executable, "-m", "examples.migrate_v1", str(tmp_path / folder)],
                cwd=ROOT,
                env=environment(tmp_path),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        )
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr == f"migrate: There is no {missing} in {tmp_path / folder}.\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"id": "broken', "A line of tasks.jsonl is not a JSON object."),
        (b"\xff\xfe{\x00", "tasks.jsonl is not UTF-8."),
    ],
)
async def test_tasks_that_can_not_be_read_stop_the_import(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    """Their generations would come without them, and no second run could mend that."""
    write_export(tmp_path)
    (tmp_path / "tasks.jsonl").write_bytes(content)
    with pytest.raises(ValidationError) as caught:
        Export(tmp_path)
    assert caught.value.message == sentence
