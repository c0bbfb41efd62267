"""Recordings on their way in, by who holds a signed link (R14). Nobody is asked who they are."""

import anyio

from ttsorch.contract.exchange import HttpResponse
from ttsorch.contract.routing import Call
from ttsorch.contract.wire import DoneResponse
from ttsorch.errors import ValidationError

#: For all of a recording: ten megabytes over a slow phone. Whoever takes longer holds a connection.
_RECEIVE_SECONDS = 300.0


async def receive(call: Call) -> HttpResponse:
    """Keep the body as it is, whatever its type claims; what it is, R15 finds out. Only the first upload
    under a link counts."""
    key = call.params["key"]
    call.signer.check_upload(key, call.query, now=call.orchestrator.now())
    with anyio.move_on_after(_RECEIVE_SECONDS) as deadline:
        await call.orchestrator.receive_clip(key, call.request.body)
    if deadline.cancelled_caught:
        raise ValidationError(
            "Request body was not received in time.", code="body_timeout", http_status=408
        )
    return DoneResponse(ok=True).response()
