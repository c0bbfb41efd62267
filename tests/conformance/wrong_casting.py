"""Servers that are wrong about making voices, and about what belongs to whom."""

from typing import Any

from tests.conformance.breaking import Exchange, Mutant
from tests.conformance.wrong_answers import (
    AUDIO,
    BOB,
    CANCEL,
    DESIGN,
    FINALIZE,
    GENERATION,
    HISTORY_PATH,
    PREVIEW,
    TASK,
    UPLOAD,
    UPLOAD_URL,
    VOICE,
    VOICES_PATH,
    as_ann,
    each,
    key,
    refuse,
    refuse_if,
    status,
    with_query,
)


def _relative_upload(x: Exchange) -> None:
    if x.status == 200:
        x.set(upload_url="/" + x.json["upload_url"].split("/", 3)[3])


def _not_missing(x: Exchange) -> bool:
    """Bob asks for something that is there: the second of each pair."""
    if x.token == BOB:
        x.seen["asked"] = x.seen.get("asked", 0) + 1
    return x.token == BOB and x.seen["asked"] % 2 == 0


def _another_id(x: Exchange) -> None:
    if x.status == 200 and x.nth == 2:
        x.set(id="another")


def _no_such(name: str) -> Any:
    return lambda x: x.drop(name)


CASTING = [
    Mutant("takes any name", "upload-url-fields", f"POST {UPLOAD_URL}", refuse(200, "")),
    Mutant(
        "explains a field with a list",
        "upload-url-fields",
        f"POST {UPLOAD_URL}",
        refuse(400, ["name"]),
    ),
    Mutant("answers 422 for a missing field", "finalize-fields", f"POST {FINALIZE}", status(422)),
    Mutant(
        "takes a body that is no JSON", "upload-url-not-json", f"POST {UPLOAD_URL}", status(500)
    ),
    Mutant(
        "clones what was never uploaded",
        "finalize-not-uploaded",
        f"POST {FINALIZE}",
        lambda x: x.answer(200, {"id": "1", "name": "Anna"}),
    ),
    Mutant(
        "clones a page",
        "finalize-not-audio",
        f"POST {FINALIZE}",
        lambda x: x.answer(200, {"id": "1", "name": "Anna"}),
    ),
    Mutant(
        "clones what is too large",
        "finalize-too-large",
        f"POST {FINALIZE}",
        lambda x: x.answer(200, {"id": "1", "name": "Anna"}),
    ),
    Mutant("gives a path to upload to", "clone-voice", f"POST {UPLOAD_URL}", _relative_upload),
    Mutant("keeps the key to itself", "clone-voice", f"POST {UPLOAD_URL}", _no_such("object_key")),
    Mutant("answers an upload with 201", "clone-voice", f"PUT {UPLOAD}", status(201)),
    Mutant(
        "wants audio/wav",
        "clone-voice",
        f"PUT {UPLOAD}",
        lambda x: setattr(x, "status", 415) if "octet" in x.sent_headers["content-type"] else None,
    ),
    Mutant("gives the voice another id", "clone-voice", f"POST {FINALIZE}", key(id="another")),
    Mutant(
        "keeps the space around a name",
        "clone-voice",
        f"POST {FINALIZE}",
        lambda x: x.set(name=x.sent_json()["name"]) if x.status == 200 else None,
    ),
    Mutant(
        "lists its own voices first",
        "clone-voice",
        f"GET {VOICES_PATH}",
        lambda x: x.set(voices=list(reversed(x.json["voices"]))),
    ),
    Mutant(
        "searches what was read aloud",
        "clone-voice",
        f"GET {VOICES_PATH}",
        rewrite=with_query("search=two%2C%20three", ""),
    ),
    Mutant(
        "reads a stray token when something is uploaded",
        "delete-voice",
        f"PUT {UPLOAD}",
        refuse_if(lambda x: x.token, 401, "Invalid or expired token"),
    ),
    Mutant(
        "plays a deleted voice",
        "delete-voice",
        f"GET {PREVIEW}",
        status(302),
    ),
    Mutant(
        "lists a clone as designed",
        "clone-voice",
        f"GET {VOICES_PATH}",
        each("voices", source="designed"),
    ),
    Mutant(
        "plays no clones",
        "clone-preview",
        f"GET {PREVIEW}",
        refuse(404, "Voice has no reference audio."),
    ),
    Mutant(
        "makes a voice twice",
        "clone-twice",
        f"POST {FINALIZE}",
        lambda x: x.answer(200, {"id": x.sent_json().get("voice_id"), "name": "Anna"}),
    ),
    Mutant(
        "deletes a voice once",
        "delete-voice",
        f"DELETE {VOICE}",
        refuse_if(lambda x: x.nth == 2, 404, "Voice not found."),
    ),
    Mutant(
        "forgets the voice's name",
        "delete-voice",
        f"GET {HISTORY_PATH}",
        each("generations", voice_name=""),
    ),
    Mutant(
        "speaks with what is deleted",
        "delete-voice",
        "POST /api/generate",
        lambda x: x.answer(200, {}) if x.status == 404 else None,
    ),
    Mutant(
        "begins a preview as processing",
        "design-preview",
        f"POST {DESIGN}/preview",
        key(status="processing"),
    ),
    Mutant(
        "polls a preview as pending",
        "design-preview",
        f"GET {TASK}",
        lambda x: x.set(status="pending") if x.json["status"] == "processing" else None,
    ),
    Mutant("has another type", "design-preview", f"GET {TASK}", key(type="design")),
    Mutant(
        "plays the preview for its owner only",
        "design-preview",
        f"GET {TASK}",
        lambda x: x.set(result={"audio_url": "/api/tasks/1/audio"}) if "result" in x.json else None,
    ),
    Mutant(
        "takes any description",
        "preview-fields",
        f"POST {DESIGN}/preview",
        lambda x: x.answer(200, {"task_id": "1", "status": "pending"}),
    ),
    Mutant("makes two voices of one preview", "design-save", f"POST {DESIGN}", _another_id),
    Mutant("saves no link", "design-save", f"POST {DESIGN}", key(preview_url=None)),
    Mutant(
        "can't save once the task is gone",
        "design-save",
        f"POST {DESIGN}",
        refuse_if(lambda x: x.nth == 3, 404, "Preview task not found."),
    ),
    Mutant("saves what isn't there", "save-missing", f"POST {DESIGN}", refuse(200, "")),
    Mutant("saves a form without a name", "save-fields", f"POST {DESIGN}", refuse(200, "")),
    Mutant("saves as uploaded", "design-save-alone", f"POST {DESIGN}", key(source="uploaded")),
]


OWNERS = [
    Mutant(
        "forbids what is another's",
        "foreign-speech",
        f"GET {TASK}",
        refuse_if(_not_missing, 403, "Forbidden."),
    ),
    Mutant(
        "says otherwise what is another's",
        "foreign-speech",
        f"GET {AUDIO}",
        refuse_if(_not_missing, 404, "Generation not found!"),
    ),
    Mutant(
        "has another code for what is another's",
        "foreign-speech",
        f"DELETE {GENERATION}",
        lambda x: x.set(code="foreign") if _not_missing(x) else None,
    ),
    Mutant("cancels another's task", "foreign-active", f"POST {CANCEL}", rewrite=as_ann),
    Mutant(
        "deletes another's generation", "foreign-active", f"DELETE {GENERATION}", rewrite=as_ann
    ),
    Mutant("lists another's history", "foreign-lists", f"GET {HISTORY_PATH}", rewrite=as_ann),
    Mutant("lists another's tasks", "foreign-tasks-listed", "GET /api/tasks", rewrite=as_ann),
    Mutant("plays another's voice", "foreign-voice", f"GET {PREVIEW}", rewrite=as_ann),
    Mutant(
        "knows another's voice when it is cloned",
        "foreign-voice",
        f"POST {FINALIZE}",
        refuse_if(_not_missing, 409, "This voice exists already."),
    ),
    Mutant("speaks with another's voice", "foreign-voice", "POST /api/generate", rewrite=as_ann),
    Mutant("saves another's preview", "foreign-design", f"POST {DESIGN}", rewrite=as_ann),
]
