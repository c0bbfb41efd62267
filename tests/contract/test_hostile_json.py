"""C6 on every route that takes JSON: what RFC 8259 refuses, or is falsy, is 400 in the contract's words; any
other value is an object without keys."""

import logging

import pytest

from tests.contract.json_torture import (
    ACCEPTED,
    EITHER,
    FALSY,
    FALSY_VALUES,
    NOT_JSON,
    OBJECT,
    REFUSED,
)
from tests.contract.world import A_CLONE, A_DESIGN, VOICE, World, a_world
from ttsorch.testing.fake_voices import FakeDesigningJobProvider

pytestmark = pytest.mark.anyio

#: What each route says to an object without keys.
ROUTES = {
    "/api/generate": "Please select a voice",
    "/api/clone/upload-url": "Name must be 1-100 characters.",
    "/api/clone/finalize": "voice_id is required.",
    "/api/voices/design/preview": "Preview text is required.",
}
INVALID = (400, "Invalid JSON body")


async def _refusal(world: World, path: str, body: bytes) -> tuple[int, object]:
    answer = await world.ask("POST", path, body=body)
    return answer.status, answer.detail


@pytest.mark.parametrize("path", ROUTES)
async def test_what_is_no_json_is_refused_in_one_sentence(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong with it, however large or deep; and nothing is written or logged."""
    caplog.set_level(logging.INFO)
    empty = (400, ROUTES[path])
    expected = {
        **dict.fromkeys(REFUSED, INVALID),
        **dict.fromkeys(FALSY_VALUES, INVALID),
        **dict.fromkeys(ACCEPTED.values(), empty),
        **{
            body: {NOT_JSON: INVALID, FALSY: INVALID, OBJECT: empty}[kind]
            for body, kind in EITHER.values()
        },
    }
    async with a_world(FakeDesigningJobProvider()) as world:
        for body, refusal in expected.items():
            assert await _refusal(world, path, body) == refusal, body[:60]
        await world.assert_nothing_written()
    assert caplog.records == []


@pytest.mark.parametrize(
    "torn",
    [
        [],
        {},
        {"a": "b"},
        ["Hello"],
        0,
        1,
        -1.5,
        True,
        False,
        None,
        1e308,
        10**400,
        [[[["Hello"]]]],
    ],
    ids=repr,
)
async def test_a_field_that_is_no_string_is_a_missing_one(torn: object) -> None:
    """C6: for each field of each form, the sentence that a missing one gets."""
    async with a_world(FakeDesigningJobProvider()) as world:
        for path, fields in (
            ("/api/generate", {"voice_id": VOICE, "text": "Hello."}),
            ("/api/clone/upload-url", A_CLONE),
            ("/api/clone/finalize", {"voice_id": VOICE, **A_CLONE}),
            ("/api/voices/design/preview", A_DESIGN),
        ):
            for name in fields:
                without = {key: text for key, text in fields.items() if key != name}
                missing = await world.ask("POST", path, send=without)
                answer = await world.ask("POST", path, send={**fields, name: torn})
                assert answer.status == 400
                assert answer.detail == missing.detail
        await world.assert_nothing_written()


async def test_of_a_key_that_comes_twice_the_last_one_counts() -> None:
    """As with every reader of JSON that v1 clients have met."""
    async with a_world() as world:
        body = f'{{"voice_id": 1, "text": "one", "voice_id": "{VOICE}", "text": "two"}}'
        answer = await world.ask("POST", "/api/generate", body=body.encode())
        assert answer.status == 200
        assert (await world.ask("GET", "/api/generations")).only("generations")["text"] == "two"


async def test_keys_that_nobody_knows_do_no_harm() -> None:
    """C6: old clients send ``model``; broken ones send anything."""
    async with a_world() as world:
        strange = {"model": 1, "__proto__": {}, "owner": "bob", "task_id": "x", "\ud800": 1, "": 0}
        send = {"voice_id": VOICE, "text": "Hello.", **strange}
        answer = await world.ask("POST", "/api/generate", send=send)
        assert answer.status == 200
        (job,) = await world.jobs()
        assert job.task.id == answer.json["task_id"]
