"""What stands between a client and a handler on Modal: credentials, outages, routes, and the 303 of a call
that takes longer than 150 seconds (https://modal.com/docs/guide/webhook-timeouts).

The edge speaks plain text; JSON with a ``detail`` comes from FastAPI, behind it.
"""

from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlencode

from ttsorch.testing._modal.bodies import Refused
from ttsorch.testing._modal.jobs import new_call_id
from ttsorch.testing._modal.switches import ModalSwitches
from ttsorch.testing.vendor_exchange import Answer, VendorReply, VendorRequest

_CALL_ID = "__modal_function_call_id"


@dataclass
class _SlowCall:
    """A call whose answer has to be asked for. ``waits`` are the statuses to come before it."""

    location: str
    reply: VendorReply
    waits: list[int]


@dataclass
class ModalEdge:
    """The edge before one endpoint, which answers ``method`` at ``/``. ``origin`` is its own address."""

    name: str
    method: str
    handler: Answer
    switches: ModalSwitches
    origin: str = ""
    _calls: dict[str, _SlowCall] = field(default_factory=dict, repr=False)

    async def answer(self, request: VendorRequest) -> VendorReply:
        """What a client gets for ``request``."""
        refused = self._refuse(request)
        if refused is not None:
            return refused
        outage = self._outage()
        if outage is not None and not self.switches.platform_error_after_work:
            return outage
        if _CALL_ID in request.query:
            reply = self._answer_of_call(request)
        else:
            reply = self._perhaps_later(request, await self._run(request))
        return outage or reply

    def _refuse(self, request: VendorRequest) -> VendorReply | None:
        if self.switches.proxy_auth is not None:
            sent = _credentials(request)
            if sent != self.switches.proxy_auth:
                what = "missing" if sent is None else "invalid"
                return _edge_error(401, f"{what} credentials for proxy authorization")
        if self.switches.use("too_many_requests"):
            hint = self.switches.retry_after
            headers = {} if hint is None else {"retry-after": hint}
            return VendorReply(429, b"Too Many Requests", "text/plain; charset=utf-8", headers)
        if self.name == "cancel" and self.switches.cancel_missing:
            return _edge_error(404, "invalid function call")
        return None

    def _outage(self) -> VendorReply | None:
        if self.switches.platform_error is None:
            return None
        if self.switches.platform_error_at not in (None, self.name):
            return None
        status, text = self.switches.platform_error
        return VendorReply.of_text(text, status)

    async def _run(self, request: VendorRequest) -> VendorReply:
        if request.path != "/":
            return VendorReply.of_json({"detail": "Not Found"}, 404)
        if request.method != self.method:
            return VendorReply.of_json(
                {"detail": "Method Not Allowed"}, 405, {"allow": self.method}
            )
        try:
            return await self.handler(request)
        except Refused as refusal:
            return refusal.reply

    def _perhaps_later(self, request: VendorRequest, reply: VendorReply) -> VendorReply:
        """The reply, or a 303 to where it will be. A refusal comes at once: it took no time."""
        redirects = self.switches.redirects(self.name)
        if not redirects or 400 <= reply.status < 500:
            return reply
        call_id = new_call_id()
        location = f"{self.origin}/?{urlencode({**request.query, _CALL_ID: call_id})}"
        waits = [303] * (redirects - 1)
        elsewhere = None
        if self.name == "design":
            waits += self.switches.design_waits
            elsewhere = self.switches.design_redirect_to
        self._calls[call_id] = _SlowCall(location, reply, waits)
        return _see_other(elsewhere or location)

    def _answer_of_call(self, request: VendorRequest) -> VendorReply:
        """The result URL: asking it again starts no new work, and posting to it is an error."""
        if request.method != "GET":
            return _edge_error(400, "bad redirect method")
        call = self._calls.get(request.query[_CALL_ID])
        if call is None:
            return _edge_error(404, "invalid function call")
        if not call.waits:
            return call.reply
        status = call.waits.pop(0)
        if status == 303:
            return _see_other(call.location)
        return VendorReply.of_text(HTTPStatus(status).phrase, status)


def _edge_error(status: int, text: str) -> VendorReply:
    return VendorReply.of_text(f"modal-http: {text}", status)


def _see_other(location: str) -> VendorReply:
    return VendorReply(303, b"", "text/plain; charset=utf-8", {"location": location})


def _credentials(request: VendorRequest) -> tuple[str, str] | None:
    """Key and secret, from two headers or from the one that the newer SDK prints."""
    key, secret = (request.headers.get(name, "") for name in ("modal-key", "modal-secret"))
    if key and secret:
        return key, secret
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    key, dot, secret = token.partition(".")
    return (key, secret) if scheme.lower() == "bearer" and dot else None
