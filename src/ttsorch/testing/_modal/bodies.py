"""How a FastAPI handler on Modal reads a request, and what it says to one that it doesn't like.

The 422 bodies are FastAPI's own (0.165, pydantic 2), by field and by spelling.
"""

import json
from collections.abc import Mapping

from ttsorch.models import JsonValue
from ttsorch.testing.vendor_exchange import VendorReply, VendorRequest

#: The values of ``language`` that the deployed model takes.
LANGUAGES = (
    "Auto", "Chinese", "English", "Japanese", "Korean", "German", "French", "Russian", "Portuguese",
    "Spanish", "Italian",
)  # fmt: skip


class Refused(Exception):
    """The handler's way out, with the reply to send. The message has nothing of the request in it."""

    def __init__(self, reply: VendorReply) -> None:
        super().__init__(f"refused with {reply.status}")
        self.reply = reply


def refusal(status: int, detail: JsonValue) -> Refused:
    """An ``HTTPException(status, detail)``."""
    return Refused(VendorReply.of_json({"detail": detail}, status))


def json_object(request: VendorRequest) -> dict[str, object]:
    """The body of a handler that is declared with one ``dict`` parameter.

    Raises:
        Refused: 422 when it is missing, no JSON or no object; 400 when it isn't even text.
    """
    if not request.body:
        raise _invalid("missing", ["body"], "Field required", None)
    value = _parsed(request)
    if not isinstance(value, dict):
        raise _invalid("dict_type", ["body"], "Input should be a valid dictionary", value)
    return value


def _parsed(request: VendorRequest) -> object:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        return request.body.decode(errors="replace")
    try:
        return request.json()
    except json.JSONDecodeError as error:
        position, reason = error.pos, error.msg
    except ValueError:
        raise refusal(400, "There was an error parsing the body") from None
    raise _invalid("json_invalid", ["body", position], "JSON decode error", {}, {"error": reason})


def _invalid(
    kind: str,
    where: list[JsonValue],
    message: str,
    value: object,
    context: Mapping[str, JsonValue] | None = None,
) -> Refused:
    # What was sent went through JSON or is a string, so it is a JSON value again.
    shown: JsonValue = json.loads(json.dumps(value))
    problem: dict[str, JsonValue] = {"type": kind, "loc": where, "msg": message, "input": shown}
    if context:
        problem["ctx"] = context
    return refusal(422, [problem])


def required(body: Mapping[str, object], name: str) -> str:
    """A field that has to be there and not empty.

    Raises:
        Refused: 400, with the detail of the deployed code; 500 when it is no string, over which that code
            stumbles.
    """
    value = body.get(name)
    if not value:
        raise refusal(400, f"'{name}' is required")
    if not isinstance(value, str):
        raise Refused(VendorReply.of_text("Internal Server Error", 500))
    return value


def job_id_of(request: VendorRequest) -> str:
    """The query parameter ``job_id``.

    Raises:
        Refused: 422 when it is absent, 400 when it is empty.
    """
    if "job_id" not in request.query:
        raise _invalid("missing", ["query", "job_id"], "Field required", None)
    return required(request.query, "job_id")
