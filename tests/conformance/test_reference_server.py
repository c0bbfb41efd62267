"""The reference server, as a process, against the whole contract: with its own engine, and as a client of
Modal and of Qwen."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance.serving import TOKENS, run
from tests.server.running import running
from tests.server.vendors import beside
from ttsorch.conformance import Outcome, Report, Tokens
from ttsorch.testing.fake_dashscope import fake_dashscope
from ttsorch.testing.fake_modal import fake_modal
from ttsorch.testing.speakers import engine_speaker

_OWNERS = f"{TOKENS.owner}=ann,{TOKENS.other}=bob"


@contextmanager
def vendor(name: str) -> Iterator[Mapping[str, str]]:
    """The settings that lead to this vendor's fake."""
    if name == "local":
        yield {}
    elif name == "modal":
        with beside(fake_modal(speak=engine_speaker())) as modal:
            # Between two checks that nobody polls for there are ten seconds.
            modal.checks_until_done = 0
            yield modal.environ()
    else:
        with beside(fake_dashscope(speak=engine_speaker())) as dashscope:
            yield dashscope.environ()


def without_a_verdict(report: Report) -> set[str]:
    return {result.id for result in report.results if result.outcome is not Outcome.PASSED}


#: On every server of ours, links lead to itself, and an owner begins without voices of another provider.
NEVER_HERE = {"generate-foreign-provider", "audio-elsewhere"}
#: What a provider that keeps no voices can't do.
NO_CLONE = {
    "finalize-not-uploaded",
    "finalize-not-audio",
    "finalize-too-large",
    "clone-voice",
    "clone-preview",
    "clone-twice",
    "delete-voice",
    "design-preview",
    "design-save",
    "design-save-alone",
    "foreign-voice",
    "foreign-design",
}
NOT_MODAL = {"task-modal-fields", "voices-modal-has-none", "clone-header"}
MODAL = {
    "task-no-modal-fields",
    "voices-builtin",
    "builtin-not-deleted",
    "builtin-preview",
}
#: The embedded engine, and the fake DashScope, may have spoken before a cancel arrives.
A_RACE = {"cancel", "task-error-category"}


@pytest.mark.parametrize(
    ("mode", "missing"),
    [("local", NOT_MODAL | NO_CLONE), ("modal", MODAL), ("qwen", NOT_MODAL)],
)
def test_the_reference_server_keeps_the_contract(
    tmp_path: Path, mode: str, missing: set[str]
) -> None:
    """Nothing is different, nothing is left behind, and nothing is passed over without its reason."""
    with (
        vendor(mode) as settings,
        running(tmp_path, TTS_PROVIDER_MODE=mode, TTSORCH_TOKENS=_OWNERS, **settings) as server,
    ):
        report = run(server.address)

    assert report.differences() == []
    assert report.passed
    assert report.left == ()
    assert without_a_verdict(report) - A_RACE == NEVER_HERE | missing


def test_a_server_without_tokens_is_tested_as_everybody(tmp_path: Path) -> None:
    """On a loopback address there is one owner: what takes two, or a token, doesn't apply."""
    with running(tmp_path) as server:
        report = run(server.address, tokens=Tokens())

    assert report.differences() == []
    assert {"no-token", "bad-token", "foreign-speech"} <= without_a_verdict(report)
