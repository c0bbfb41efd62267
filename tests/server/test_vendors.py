"""The reference server as a client of Modal and of Qwen: the same page, another ``TTS_PROVIDER_MODE``."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.server.running import PATIENCE, READY, ROOT, environment, refused, running
from tests.server.speaking import loudest_sample, poll_to_the_end
from tests.server.vendors import beside, cloned_voice
from ttsorch.testing.fake_dashscope import FakeDashScope, fake_dashscope
from ttsorch.testing.fake_modal import FakeModal, fake_modal
from ttsorch.testing.vendor_server import WireFault

TEXT = "Say it across the wire."


@dataclass
class Vendors:
    """Both fakes, the settings that lead to them, and the ids of a voice at each."""

    modal: FakeModal
    qwen: FakeDashScope
    settings: Mapping[str, str]
    voices: Mapping[str, str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vendors")


@pytest.fixture(scope="module")
def vendors(folder: Path) -> Iterator[Vendors]:
    with beside(fake_modal()) as modal, beside(fake_dashscope()) as qwen:
        settings = {**modal.environ(), **qwen.environ()}
        voices = {vendor: cloned_voice(folder, vendor, settings).id for vendor in ("modal", "qwen")}
        yield Vendors(modal, qwen, settings, voices)


def generated(client: httpx.Client, voice_id: str, text: str = TEXT) -> dict[str, str]:
    answer = client.post("/api/generate", json={"voice_id": voice_id, "text": text})
    assert answer.status_code == 200, answer.text
    body: dict[str, str] = answer.json()
    return body


@pytest.mark.parametrize("vendor", ["modal", "qwen"])
def test_a_job_goes_from_generate_to_regenerate(
    folder: Path, vendors: Vendors, vendor: str
) -> None:
    """Generate, poll, audio, history and regenerate work by switching the mode alone."""
    with (
        running(folder, TTS_PROVIDER_MODE=vendor, **vendors.settings) as server,
        server.client() as client,
    ):
        job = generated(client, vendors.voices[vendor])
        task = poll_to_the_end(client, job["task_id"])
        generation = f"/api/generations/{job['generation_id']}"
        audio = client.get(f"{generation}/audio", follow_redirects=True)
        [line] = [
            line
            for line in client.get("/api/generations").json()["generations"]
            if line["id"] == job["generation_id"]
        ]
        again = client.post(f"{generation}/regenerate").json()

    assert task["status"] == "completed"
    assert task["provider"] == vendor
    assert task["result"] == {"audio_url": f"{generation}/audio"}
    assert audio.headers["content-type"] == "audio/wav"
    assert loudest_sample(audio.content) > 1000
    assert (line["status"], line["text"], line["error_message"]) == ("completed", TEXT, None)
    assert (again["voice_id"], again["text"]) == (vendors.voices[vendor], TEXT)


def test_the_modal_fields_mirror_the_neutral_ones(folder: Path, vendors: Vendors) -> None:
    """While a job runs at Modal, and each poll asks there once; for Qwen they are empty."""
    vendors.modal.checks_until_done = 2
    with (
        running(folder, TTS_PROVIDER_MODE="modal", **vendors.settings) as server,
        server.client() as client,
    ):
        job = generated(client, vendors.voices["modal"])
        polls = [client.get(f"/api/tasks/{job['task_id']}").json() for _ in range(3)]

    assert [poll["status"] for poll in polls] == ["processing", "processing", "completed"]
    assert [poll["provider_poll_count"] for poll in polls] == [1, 2, 3]
    for poll in polls:
        assert poll["modal_status"] == poll["provider_status"]
        assert poll["modal_poll_count"] == poll["provider_poll_count"]


def test_a_cancel_reaches_modal(folder: Path, vendors: Vendors) -> None:
    """The task ends at once, and the vendor is told which job."""
    vendors.modal.checks_until_done = None
    with (
        running(folder, TTS_PROVIDER_MODE="modal", **vendors.settings) as server,
        server.client() as client,
    ):
        job = generated(client, vendors.voices["modal"])
        cancelled = client.post(f"/api/tasks/{job['task_id']}/cancel")
        task = client.get(f"/api/tasks/{job['task_id']}").json()
    vendors.modal.checks_until_done = 1

    assert cancelled.json() == {"cancelled": True, "task_id": job["task_id"]}
    assert (task["status"], task["error"]) == ("cancelled", "Cancelled by user")
    assert len(vendors.modal.ledger.cancels) == 1


@pytest.mark.parametrize(("vendor", "other"), [("modal", "qwen"), ("qwen", "modal")])
def test_the_other_providers_voice_is_refused(
    folder: Path, vendors: Vendors, vendor: str, other: str
) -> None:
    """A voice is bound to its provider: 409, and what to do."""
    with (
        running(folder, TTS_PROVIDER_MODE=vendor, **vendors.settings) as server,
        server.client() as client,
    ):
        answer = client.post(
            "/api/generate", json={"voice_id": vendors.voices[other], "text": TEXT}
        )

    assert answer.status_code == 409
    assert answer.json()["detail"] == (
        f"Voice belongs to provider '{other}'. Switch provider mode or create a {vendor} voice."
    )


def test_a_job_outlives_a_switch_of_the_provider(folder: Path, vendors: Vendors) -> None:
    """What Modal has begun is finished by a server that sends new jobs to Qwen."""
    vendors.modal.checks_until_done = None
    with (
        running(folder, TTS_PROVIDER_MODE="modal", **vendors.settings) as server,
        server.client() as client,
    ):
        job = generated(client, vendors.voices["modal"])
    for job_id in vendors.modal.jobs:
        vendors.modal.finish(job_id)
    vendors.modal.checks_until_done = 1
    with (
        running(folder, TTS_PROVIDER_MODE="qwen", **vendors.settings) as server,
        server.client() as client,
    ):
        task = poll_to_the_end(client, job["task_id"])

    assert (task["status"], task["provider"]) == ("completed", "modal")


@pytest.mark.parametrize(
    ("vendor", "variable"), [("modal", "MODAL_JOB_SUBMIT"), ("qwen", "DASHSCOPE_API_KEY")]
)
def test_a_missing_setting_is_named(tmp_path: Path, vendor: str, variable: str) -> None:
    """The server doesn't start, and says which variable it needs."""
    status, words = refused(tmp_path, TTS_PROVIDER_MODE=vendor)

    assert status == 2
    assert variable in words


@pytest.mark.parametrize("vendor", ["modal", "qwen"])
def test_the_offline_server_needs_no_account(tmp_path: Path, vendor: str) -> None:
    """It brings its vendor and a voice of the owner's, and speaks audibly. A database and an account that are
    configured for other days are left alone: the fake knows nothing of the jobs in there."""
    real = {
        "MODAL_KEY": "wk-fake",
        "DASHSCOPE_REGION": "cn",
        "QWEN_VC_TARGET_MODEL": "cosyvoice-v3",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.reference_server", "--offline", vendor],
        cwd=ROOT,
        env=environment(tmp_path, **real),
        stdout=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix(READY).strip()
        with httpx.Client(base_url=address, timeout=PATIENCE) as client:
            own = client.get("/api/voices").json()["voices"][0]
            job = generated(client, own["id"])
            task = poll_to_the_end(client, job["task_id"])
            audio = client.get(
                f"/api/generations/{job['generation_id']}/audio", follow_redirects=True
            )
    finally:
        watchdog.cancel()
        process.terminate()
        status = process.wait(PATIENCE)
        if process.stdout is not None:
            process.stdout.close()

    assert (own["source"], own["tts_provider"]) == ("uploaded", vendor)
    assert task["status"] == "completed"
    assert loudest_sample(audio.content) > 1000
    assert list(tmp_path.iterdir()) == []
    assert status == 0


@pytest.mark.parametrize("vendor", ["modal", "qwen"])
def test_a_voice_can_be_told_to_be_another_providers(
    folder: Path, vendors: Vendors, vendor: str
) -> None:
    """Both providers' voices are listed; the page offers those of the one that takes new tasks."""
    with (
        running(folder, TTS_PROVIDER_MODE=vendor, **vendors.settings) as server,
        server.client() as client,
    ):
        active = client.get("/api/languages").json()["provider"]
        listed = client.get("/api/voices?source=uploaded").json()["voices"]
        makers = {voice["id"]: voice["tts_provider"] for voice in listed}
        answers = {
            maker: client.post("/api/generate", json={"voice_id": voice_id, "text": TEXT})
            for voice_id, maker in makers.items()
        }

    assert active == vendor
    assert makers == {voice_id: maker for maker, voice_id in vendors.voices.items()}
    assert {maker: answer.status_code for maker, answer in answers.items()} == {
        maker: 200 if maker == vendor else 409 for maker in vendors.voices
    }


def test_the_log_says_why_a_task_failed(folder: Path, vendors: Vendors) -> None:
    """The user of a direct provider gets a 200 first; nobody but the log tells the operator of a bad key."""
    settings = {**vendors.settings, "DASHSCOPE_API_KEY": "sk-fake-wrong-key"}
    with running(folder, TTS_PROVIDER_MODE="qwen", **settings) as server, server.client() as client:
        job = generated(client, vendors.voices["qwen"])
        task = poll_to_the_end(client, job["task_id"])
        server.stop()
        log = server.log.read_text()

    assert (task["status"], task["error_code"]) == ("failed", "provider_auth")
    assert f"task {job['task_id']} (qwen): failed: provider_auth (HTTP 401 InvalidApiKey" in log
    assert "sk-fake" not in log


def test_the_log_says_that_an_outcome_is_unknown(folder: Path, vendors: Vendors) -> None:
    """What may have been paid for nothing is worth a line before the grace period is over."""
    vendors.modal.servers.submit.faults.append(WireFault(lose_reply=True))
    with (
        running(folder, TTS_PROVIDER_MODE="modal", **vendors.settings) as server,
        server.client() as client,
    ):
        job = generated(client, vendors.voices["modal"])
        client.post(f"/api/tasks/{job['task_id']}/cancel")
        server.stop()
        log = server.log.read_text()

    assert f"task {job['task_id']} (modal): nobody knows yet whether it was accepted" in log
