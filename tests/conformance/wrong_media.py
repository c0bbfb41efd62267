"""Servers that are wrong about audio and voices."""

from tests.conformance.breaking import Exchange, Mutant
from tests.conformance.wrong_answers import (
    AUDIO,
    GENERATION,
    HISTORY_PATH,
    MEDIA_PATH,
    PREVIEW,
    TASK,
    VOICE,
    VOICES_PATH,
    each,
    header,
    key,
    refuse,
    refuse_if,
    status,
    with_query,
)


def _ranged(x: Exchange) -> bool:
    return x.status == 206


def _shifted(x: Exchange) -> None:
    if _ranged(x):
        x.content = x.content[1:] + b"\0"


def _whole_length(x: Exchange) -> None:
    """The part's bytes, and padding up to the length of the whole."""
    if _ranged(x):
        size = int(x.headers["content-range"].rpartition("/")[2])
        x.content = x.content.ljust(size, b"\0")


def _after_the_task(x: Exchange) -> None:
    """A server whose audio goes with its task."""
    if x.method == "DELETE":
        x.seen["deleted"] = True
    elif x.seen.get("deleted") and x.status == 302:
        x.answer(404, {"detail": "Generation audio not available."})


def _keeps_the_line(x: Exchange) -> None:
    if x.method == "DELETE":
        x.seen["deleted"] = True
    elif x.seen.get("deleted"):
        x.set(generations=[{}])


def _a_page(x: Exchange) -> None:
    if x.status == 200:
        x.content = b"<!doctype html><title>Sign in</title>"


MEDIA = [
    Mutant("redirects with 307", "audio-redirect", f"GET {AUDIO}", status(307)),
    Mutant(
        "answers with JSON instead",
        "audio-redirect",
        f"GET {AUDIO}",
        lambda x: x.answer(200, {"url": x.headers["location"]}),
    ),
    Mutant("redirects nowhere", "audio-redirect", f"GET {AUDIO}", header("location", None)),
    Mutant(
        "sends bytes of no type",
        "audio-plays",
        f"GET {MEDIA_PATH}",
        header("content-type", "application/octet-stream"),
    ),
    Mutant(
        "sends text/plain", "audio-plays", f"GET {MEDIA_PATH}", header("content-type", "text/plain")
    ),
    Mutant("sends a page for audio", "audio-plays", f"GET {MEDIA_PATH}", _a_page),
    Mutant("offers no ranges", "audio-headers", f"GET {MEDIA_PATH}", header("accept-ranges", None)),
    Mutant(
        "lets browsers guess",
        "audio-headers",
        f"GET {MEDIA_PATH}",
        header("x-content-type-options", None),
    ),
    Mutant(
        "names the file by nothing",
        "audio-name",
        f"GET {MEDIA_PATH}",
        header("content-disposition", 'attachment; filename="1234"'),
    ),
    Mutant(
        "reads a stray token",
        "audio-stray-token",
        f"GET {MEDIA_PATH}",
        refuse_if(lambda x: x.token, 401, "Invalid or expired token"),
    ),
    Mutant(
        "ignores ranges", "audio-range", f"GET {MEDIA_PATH}", lambda x: setattr(x, "status", 200)
    ),
    Mutant(
        "sends a length that isn't the range's", "audio-range", f"GET {MEDIA_PATH}", _whole_length
    ),
    Mutant("is off by one byte", "audio-range", f"GET {MEDIA_PATH}", _shifted),
    Mutant(
        "tells another size",
        "audio-range",
        f"GET {MEDIA_PATH}",
        lambda x: header("content-range", "bytes 0-99/100")(x) if _ranged(x) else None,
    ),
    Mutant("opens everything with any signature", "audio-bound", f"GET {MEDIA_PATH}", status(200)),
    Mutant("has no signatures", "audio-unsigned", f"GET {MEDIA_PATH}", refuse(200, "")),
    Mutant(
        "drops the audio with its task",
        "delete-task",
        f"DELETE|GET ({TASK}|{AUDIO})",
        _after_the_task,
    ),
    Mutant(
        "keeps the line of what is deleted",
        "delete-generation",
        f"GET|DELETE {HISTORY_PATH}(/[^/]+)?",
        _keeps_the_line,
    ),
    Mutant(
        "has another sentence for what is deleted",
        "delete-generation",
        f"GET {AUDIO}",
        lambda x: x.set(detail="Gone.") if x.status == 404 else None,
    ),
    Mutant(
        "deletes again and again",
        "delete-generation",
        f"DELETE {GENERATION}",
        lambda x: x.answer(200, {"ok": True}),
    ),
]


VOICES = [
    Mutant(
        "has voices without a kind",
        "voices-keys",
        f"GET {VOICES_PATH}",
        lambda x: x.set(
            voices=[
                {k: v for k, v in voice.items() if k != "provider_voice_kind"}
                for voice in x.json["voices"]
            ]
        ),
    ),
    Mutant(
        "has a fourth source", "voices-keys", f"GET {VOICES_PATH}", each("voices", source="stock")
    ),
    Mutant(
        "refuses junk",
        "voices-paging",
        f"GET {VOICES_PATH}",
        refuse_if(lambda x: "abc" in x.query, 400, "page must be a number"),
    ),
    Mutant(
        "ignores the source",
        "voices-source",
        f"GET {VOICES_PATH}",
        rewrite=with_query("source=uploaded", ""),
    ),
    Mutant(
        "finds nothing of an unknown source",
        "voices-source",
        f"GET {VOICES_PATH}",
        lambda x: (
            x.set(pagination={**x.json["pagination"], "total": 0})
            if "nonsense" in x.query
            else None
        ),
    ),
    Mutant(
        "gives built-in voices new ids",
        "voices-builtin",
        f"GET {VOICES_PATH}",
        lambda x: each("voices", id=f"id-{x.nth}")(x),
    ),
    Mutant(
        "has another sentence", "voice-missing", f"DELETE {VOICE}", key(detail="Voice not found")
    ),
    Mutant(
        "deletes built-in voices",
        "builtin-not-deleted",
        f"DELETE {VOICE}",
        lambda x: x.answer(200, {"ok": True}),
    ),
    Mutant(
        "can't find built-in voices",
        "builtin-not-deleted",
        f"DELETE {VOICE}",
        refuse(404, "Voice not found."),
    ),
    Mutant("plays built-in voices", "builtin-preview", f"GET {PREVIEW}", status(302)),
]
