"""Outbound webhooks: tell somebody's server that a task ended, by the Standard Webhooks scheme.

::

    told = WebhookListener("billing", "https://app.example/hooks/tts", secrets=["whsec_..."])
    Orchestrator(..., effects=[told])

The scheme (https://www.standardwebhooks.com): a POST of JSON with ``webhook-id``, the same for every try, so
that the receiver can tell a repetition; ``webhook-timestamp`` in seconds; and ``webhook-signature``,
``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``. Any 2xx means that it was taken, 410 that
nothing more is to be sent there, anything else that it is to be told again.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx

from ttsorch._http import HttpClient, require_https
from ttsorch.errors import ConfigurationError, EffectRefused, ProviderUnavailable
from ttsorch.models import Effect, Job, JsonValue

__all__ = ["WebhookListener", "signature_headers"]

_PREFIX = "whsec_"
#: What the scheme asks of a secret, in bytes.
_LEAST_SECRET, _MOST_SECRET = 24, 64
#: For one try, in seconds: the scheme's upper recommendation.
_DEADLINE = 25.0
#: Nothing that a receiver says beside its status is read.
_MAX_REPLY = 64 * 1024


class WebhookListener:
    """An :class:`~ttsorch.protocols.EffectListener` that posts to one URL.

    Args:
        name: stable; who was told is remembered by it.
        url: https, unless it is a loopback address. It is the operator's: it is not checked against
            private networks.
        secrets: ``whsec_`` and base64. With several, each signs: a receiver that has either one is
            content, which is how a secret is changed.
        http: closed by :meth:`aclose` only if it was made here.

    Raises:
        ConfigurationError: the URL or a secret is malformed; names which, never its value.
    """

    def __init__(
        self, name: str, url: str, *, secrets: Sequence[str], http: HttpClient | None = None
    ) -> None:
        self.name = name
        self._url = require_https(url, "url")
        self._keys = [_key(secret) for secret in secrets]
        if not self._keys:
            raise _malformed("at least one")
        self._http = http or HttpClient()
        self._made_here = http is None

    def __repr__(self) -> str:
        return f"WebhookListener({self.name!r})"

    async def __call__(self, effect: Effect, job: Job) -> None:
        body = json.dumps(_payload(effect, job), separators=(",", ":")).encode()
        # This process's own clock: the receiver compares it with its own, to refuse what was recorded.
        signed = signature_headers(self._keys, effect.key, datetime.now(UTC), body)
        headers = {"content-type": "application/json", **signed}
        request = httpx.Request("POST", self._url, headers=headers, content=body)
        reply = await self._http.exchange(request, deadline=_DEADLINE, max_body=_MAX_REPLY)
        if reply.status == 410:
            raise EffectRefused(code="webhook_gone")
        if not 200 <= reply.status < 300:
            raise ProviderUnavailable(code="webhook_refused", detail=f"HTTP {reply.status}")

    async def aclose(self) -> None:
        """Close what was opened here. Harmless when repeated."""
        if self._made_here:
            await self._http.aclose()


def signature_headers(
    keys: Sequence[bytes], message_id: str, moment: datetime, body: bytes
) -> dict[str, str]:
    """The three headers of the scheme for ``body``, signed with each of ``keys``."""
    timestamp = str(int(moment.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = [
        base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def _payload(effect: Effect, job: Job) -> JsonValue:
    """What a receiver needs to charge, refund or notify. Neither the text nor a link: who may see those is
    asked for them."""
    task = job.task
    return {
        "type": f"task.{effect.status}",
        "timestamp": effect.created_at.isoformat(),
        "data": {
            "task_id": task.id,
            "generation_id": task.generation_id,
            "owner": task.owner,
            "kind": task.kind,
            "status": effect.status,
            "provider": task.provider,
            "characters": task.characters,
            "duration_seconds": task.audio.duration if task.audio else None,
            "error_code": task.error.code if task.error else None,
            "error_category": task.error.category if task.error else None,
            "receipt": task.receipt,
        },
    }


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not _LEAST_SECRET <= len(key) <= _MOST_SECRET:
        raise _malformed(f"{_PREFIX} and the base64 of {_LEAST_SECRET} to {_MOST_SECRET} bytes")
    return key


def _malformed(expected: str) -> ConfigurationError:
    return ConfigurationError(
        f"A webhook's secrets must be {expected}.", code="webhook_secret", field="secrets"
    )
