"""Outbound webhooks: signed as the scheme has it, told apart, and never the cause of a leak."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ttsorch.errors import (
    ConfigurationError,
    EffectRefused,
    ProviderUnavailable,
    TtsorchError,
)
from ttsorch.models import Effect, Job, Status
from ttsorch.testing.task_store_jobs import completed, new_job
from ttsorch.testing.vendor_server import (
    VendorReply,
    VendorRequest,
    VendorServer,
    WireFault,
    serving,
)
from ttsorch.webhooks import WebhookListener, signature_headers

pytestmark = pytest.mark.anyio

KEY = b"ttsorch-test-key-0123456789abcdef"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
OTHER = f"whsec_{base64.b64encode(KEY[::-1]).decode()}"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _ended() -> tuple[Effect, Job]:
    job = completed(new_job(NOW, text="A secret text."), NOW)
    effect = Effect(
        key=f"{job.task.id}.completed",
        owner=job.task.owner,
        task_id=job.task.id,
        status=Status.COMPLETED,
        created_at=NOW,
        due_at=NOW,
    )
    return effect, job


@asynccontextmanager
async def receiver(status: int = 200) -> AsyncIterator[tuple[VendorServer, str]]:
    async def answer(request: VendorRequest) -> VendorReply:
        return VendorReply(status)

    async with serving(answer) as server:
        yield server, f"{server.url}/hooks/tts?token=hidden"


def test_the_signature_is_the_schemes() -> None:
    """A vector that another implementation agrees with."""
    key = base64.b64decode("dHRzb3JjaC10ZXN0LWtleS0wMTIzNDU2Nzg5YWJjZGVm")
    headers = signature_headers(
        [key],
        "msg_ttsorch_1",
        datetime.fromtimestamp(1_790_000_000, UTC),
        b'{"id":"p1","status":"succeeded"}',
    )
    assert headers == {
        "webhook-id": "msg_ttsorch_1",
        "webhook-timestamp": "1790000000",
        "webhook-signature": "v1,2w/ASTre4FODljo6VziNWdGP4Qo9iW+ajOHDeAY2OuU=",
    }


async def test_a_receiver_can_tell_who_sent_it_and_what_it_is_about() -> None:
    """One POST of JSON, signed with each secret over what was really sent, at this time."""
    effect, job = _ended()
    async with receiver() as (server, url):
        told = WebhookListener("billing", url, secrets=[SECRET, OTHER])
        await told(effect, job)
        await told.aclose()
        (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/hooks/tts")
    assert request.headers["webhook-id"] == effect.key
    stamp = request.headers["webhook-timestamp"]
    assert abs(datetime.fromtimestamp(int(stamp), UTC) - datetime.now(UTC)) < timedelta(minutes=1)
    signed = f"{effect.key}.{stamp}.".encode() + request.body
    wanted = [
        "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        for key in (KEY, KEY[::-1])
    ]
    assert request.headers["webhook-signature"] == " ".join(wanted)
    sent = json.loads(request.body)
    assert (sent["type"], sent["data"]["task_id"]) == ("task.completed", job.task.id)
    assert sent["data"]["owner"] == job.task.owner
    assert sent["data"]["duration_seconds"] == 1.25
    assert b"secret text" not in request.body


async def test_a_repetition_has_the_same_id() -> None:
    """Which is how a receiver knows that it was told before."""
    effect, job = _ended()
    async with receiver() as (server, url):
        told = WebhookListener("billing", url, secrets=[SECRET])
        for _ in range(2):
            await told(effect, job)
        await told.aclose()
        assert [request.headers["webhook-id"] for request in server.requests] == [effect.key] * 2


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 503])
async def test_anything_but_a_2xx_is_told_again(status: int) -> None:
    """A redirect is followed nowhere."""
    effect, job = _ended()
    async with receiver(status) as (server, url):
        told = WebhookListener("billing", url, secrets=[SECRET])
        with pytest.raises(ProviderUnavailable) as caught:
            await told(effect, job)
        await told.aclose()
        assert (caught.value.code, caught.value.detail) == ("webhook_refused", f"HTTP {status}")
        assert len(server.requests) == 1


async def test_a_receiver_that_is_gone_is_told_no_more() -> None:
    """410, as the scheme has it."""
    effect, job = _ended()
    async with receiver(410) as (_, url):
        told = WebhookListener("billing", url, secrets=[SECRET])
        with pytest.raises(EffectRefused):
            await told(effect, job)
        await told.aclose()


async def test_a_lost_answer_is_trouble_without_secrets() -> None:
    """Neither the URL's query nor a secret is in the error or in a repr."""
    effect, job = _ended()
    async with receiver() as (server, url):
        server.faults.append(WireFault(lose_reply=True))
        told = WebhookListener("billing", url, secrets=[SECRET])
        with pytest.raises(TtsorchError) as caught:
            await told(effect, job)
        await told.aclose()
    shown = f"{caught.value!r} {caught.value.detail} {told!r} {caught.value.__cause__!r}"
    assert "hidden" not in shown
    assert SECRET not in shown


async def test_a_failure_says_why() -> None:
    """By its code and category alone."""
    effect, job = _ended()
    failed = replace(effect, status=Status.FAILED, key="x.failed")
    async with receiver() as (server, url):
        told = WebhookListener("billing", url, secrets=[SECRET])
        await told(failed, job)
        await told.aclose()
        assert json.loads(server.requests[0].body)["type"] == "task.failed"


@pytest.mark.parametrize(
    "url", ["", "ftp://host/", "http://example.com/", "https://user:hunter2@host/", "nonsense"]
)
def test_a_bad_url_is_refused_at_the_start(url: str) -> None:
    """By name, never by its value."""
    with pytest.raises(ConfigurationError) as caught:
        WebhookListener("billing", url, secrets=[SECRET])
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    "secrets", [[], ["hunter2"], ["whsec_hunter2"], ["whsec_" + "A" * 28], ["whsec_" + "A" * 400]]
)
def test_a_bad_secret_is_refused_at_the_start(secrets: list[str]) -> None:
    """Too short, too long, not base64, or none at all."""
    with pytest.raises(ConfigurationError) as caught:
        WebhookListener("billing", "https://host/", secrets=secrets)
    assert "hunter2" not in caught.value.message
