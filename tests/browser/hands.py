"""Vendors in a test's hand: it decides when a job is done, and sees what would have been paid."""

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ttsorch.testing.fake_dashscope import FakeDashScope
from ttsorch.testing.fake_modal import FakeModal
from ttsorch.testing.vendor_ledger import VendorLedger

if TYPE_CHECKING:
    from tests.browser.stages import Stage


class Vendor(Protocol):
    """Who does the work, and does it when the test lets it."""

    def hold(self) -> None:
        """What is asked for from now on isn't done."""

    def release(self) -> None:
        """Everything that was held is done, and what comes next is done at once."""

    def fail(self, error: str) -> None:
        """What was asked for last fails."""

    def refuse(self) -> None:
        """What is asked for from now on isn't taken on, until everything is released."""

    def accepted(self, text: str) -> int:
        """How often the vendor took this text on, and would have been paid, since the last owner came."""

    def begin(self) -> None:
        """A new owner comes."""


def since(before: VendorLedger, now: VendorLedger, text: str) -> int:
    """How often ``text`` is on the bill that wasn't there before."""
    return now.accepted_texts().count(text) - before.accepted_texts().count(text)


class ModalVendor:
    def __init__(self, fake: FakeModal) -> None:
        self.fake = fake
        self._before = VendorLedger()

    def begin(self) -> None:
        self._before = replace(self.fake.ledger, accepted=list(self.fake.ledger.accepted))

    def hold(self) -> None:
        self.fake.checks_until_done = None

    def release(self) -> None:
        self.fake.switches.platform_error = None
        self.fake.checks_until_done = 0
        for job_id in list(self.fake.jobs):
            self.fake.finish(job_id)

    def accepted(self, text: str) -> int:
        return since(self._before, self.fake.ledger, text)

    def fail(self, error: str) -> None:
        """The newest job ends like this."""
        [*_, job_id] = self.fake.jobs
        self.fake.fail(job_id, error)

    def refuse(self) -> None:
        self.fake.switches.platform_error = (400, "no")
        self.fake.switches.platform_error_at = "submit"


class QwenVendor:
    def __init__(self, fake: FakeDashScope, gate: threading.Event) -> None:
        self.fake = fake
        self._gate = gate
        self._before = VendorLedger()

    def begin(self) -> None:
        self._before = replace(self.fake.ledger, accepted=list(self.fake.ledger.accepted))

    def hold(self) -> None:
        self._gate.clear()

    def release(self) -> None:
        self._gate.set()

    def accepted(self, text: str) -> int:
        return since(self._before, self.fake.ledger, text)

    def fail(self, error: str) -> None:
        raise NotImplementedError  # only Modal's jobs can be told to

    def refuse(self) -> None:
        raise NotImplementedError  # only Modal's jobs can be told to


class LocalVendor:
    """The embedded engine, a child process for each text. It can only be held once it has begun: ask it for
    something long."""

    def __init__(self, stage: "Stage") -> None:
        self._stage = stage
        self._held: list[int] = []

    def begin(self) -> None:
        """What was there before belongs to others."""

    def hold(self) -> None:
        server = self._stage.server.process.pid
        self._stage.wait_until(lambda: bool(children(server)), pause=0.005)
        self._held = children(server)
        for child in self._held:
            os.kill(child, signal.SIGSTOP)

    def release(self) -> None:
        for child in self._held:
            try:
                os.kill(child, signal.SIGCONT)
            except ProcessLookupError:
                pass
        self._held = []

    def fail(self, error: str) -> None:
        raise NotImplementedError  # only Modal's jobs can be told to

    def refuse(self) -> None:
        raise NotImplementedError  # only Modal's jobs can be told to

    def accepted(self, text: str) -> int:
        """The engine keeps no books, so the rows are counted."""
        found = self._stage.ask("GET", "/api/generations?per_page=100")["generations"]
        return sum(line["text"] == text for line in found)


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started and that haven't ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which may hold anything and stands in brackets: state, parent.
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(entry.parent.name))
    return found
