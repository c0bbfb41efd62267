"""What a client has, once it has used a server: something real for schemathesis to ask about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.server.speaking import poll_to_the_end
from ttsorch.testing.speech import tone_wav

#: The ids that operations of :class:`Known`'s own addresses get, beside those of the document.
KNOWN_AUDIO = "getKnownAudio"
KNOWN_UPLOAD = "putKnownRecording"

_CLONE = {"name": "Vera", "language": "English", "transcript": "One two three."}
_DESIGN = {"text": "Hear me.", "language": "English", "instruct": "A calm voice."}


@dataclass(frozen=True)
class Known:
    """Ids and signed URLs. ``clips`` are the ids of voices whose recording is there, but that nobody has
    made yet; where the provider can't clone there are none, and no ``upload``."""

    voices: Sequence[str]
    task: str
    generation: str
    audio: str
    upload: str | None
    clips: Sequence[str]
    previews: Sequence[str]

    def values(self) -> Mapping[str, Mapping[str, Sequence[str]]]:
        """What to send where, by the ids of operations."""
        task, generation = {"path.id": [self.task]}, {"path.id": [self.generation]}
        voice = {"path.id": self.voices}
        found: dict[str, Mapping[str, Sequence[str]]] = {
            "generate": {"body.voice_id": self.voices},
            "getTask": task,
            "getTaskHead": task,
            "getGenerationAudio": generation,
            "getGenerationAudioHead": generation,
            "regenerate": generation,
            "getVoicePreview": voice,
            "getVoicePreviewHead": voice,
            KNOWN_AUDIO: _query(self.audio),
            f"{KNOWN_AUDIO}Head": _query(self.audio),
        }
        if self.upload is not None:
            found |= {
                KNOWN_UPLOAD: _query(self.upload),
                "finalizeClone": {"body.voice_id": [*self.clips, *self.voices]},
                "saveDesign": {"body.task_id": self.previews},
            }
        return found


def _query(link: str) -> dict[str, Sequence[str]]:
    return {f"query.{name}": [value] for name, value in parse_qsl(urlsplit(link).query)}


def prepared(client: httpx.Client, *, makes_voices: bool) -> Known:
    """Use the server as a client does, up to a finished job."""
    clips = [_uploaded(client) for _ in range(6)] if makes_voices else []
    if clips:
        body = {**_CLONE, "voice_id": clips.pop()}
        assert client.post("/api/clone/finalize", json=body).status_code == 200
    listed = client.get("/api/voices", params={"per_page": "5"}).json()["voices"]
    voices = [voice["id"] for voice in listed]
    job = client.post("/api/generate", json={"voice_id": voices[0], "text": "Hello."}).json()
    assert poll_to_the_end(client, job["task_id"])["status"] == "completed"
    return Known(
        voices=voices,
        task=job["task_id"],
        generation=job["generation_id"],
        audio=client.get(f"/api/generations/{job['generation_id']}/audio").headers["location"],
        upload=_upload_url(client)[1] if makes_voices else None,
        clips=clips,
        previews=[_previewed(client) for _ in range(3)] if makes_voices else [],
    )


def _upload_url(client: httpx.Client) -> tuple[str, str]:
    given = client.post("/api/clone/upload-url", json=_CLONE).json()
    return given["voice_id"], given["upload_url"]


def _uploaded(client: httpx.Client) -> str:
    voice_id, link = _upload_url(client)
    recording = tone_wav(4.0, rate=24_000)
    assert httpx.put(link, content=recording).status_code == 200
    return voice_id


def _previewed(client: httpx.Client) -> str:
    task: str = client.post("/api/voices/design/preview", json=_DESIGN).json()["task_id"]
    assert poll_to_the_end(client, task)["status"] == "completed"
    return task
