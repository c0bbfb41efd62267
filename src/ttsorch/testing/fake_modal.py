"""A Modal deployment of the job app, on five loopback ports, since every endpoint there has its own host.

For tests::

    async with fake_modal() as modal:
        provider = ModalProvider.from_env(modal.environ())
        modal.switches.result_202_times = 2
        modal.servers.submit.faults.append(WireFault(lose_reply=True))
        ...
        assert modal.ledger.accepted_texts() == ["Hello, world."]

For developing without an account: ``python -m ttsorch.testing.fake_modal --engine`` prints the environment
to export and serves until it is interrupted.
"""

import argparse
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from ttsorch.testing._modal.apps import ModalApps
from ttsorch.testing._modal.edge import ModalEdge
from ttsorch.testing._modal.jobs import ModalJob
from ttsorch.testing._modal.switches import ModalSwitches
from ttsorch.testing.fake_command import serve_until_signalled
from ttsorch.testing.speakers import Speaker, tone_speaker
from ttsorch.testing.vendor_ledger import VendorLedger
from ttsorch.testing.vendor_server import VendorServer, serving

__all__ = [
    "FakeModal",
    "ModalEndpoints",
    "ModalJob",
    "ModalServers",
    "ModalSwitches",
    "Ports",
    "fake_modal",
    "ports_from",
]

#: For submit, status, result, cancel and design; 0 is any free one.
Ports = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class ModalEndpoints:
    """Complete URLs. ``cancel`` is None where that app isn't deployed."""

    submit: str
    status: str
    result: str
    cancel: str | None
    design: str


@dataclass(frozen=True, slots=True)
class ModalServers:
    """The five servers, for their ``faults`` and their ``requests``."""

    submit: VendorServer
    status: VendorServer
    result: VendorServer
    cancel: VendorServer
    design: VendorServer


class FakeModal:
    """A running deployment. ``ledger`` is what was accepted, ``jobs`` what was sent, by job id."""

    def __init__(self, apps: ModalApps, servers: ModalServers) -> None:
        self._apps = apps
        self.servers = servers

    @property
    def switches(self) -> ModalSwitches:
        return self._apps.switches

    @property
    def ledger(self) -> VendorLedger:
        return self._apps.ledger

    @property
    def jobs(self) -> dict[str, ModalJob]:
        return self._apps.jobs

    @property
    def checks_until_done(self) -> int | None:
        """How many status checks find a job running, before the next one finds it done; None: a job runs
        until the test ends it. For the jobs of later submits."""
        return self._apps.checks_until_done

    @checks_until_done.setter
    def checks_until_done(self, checks: int | None) -> None:
        self._apps.checks_until_done = checks

    @property
    def endpoints(self) -> ModalEndpoints:
        cancel = None if self.switches.cancel_missing else self.servers.cancel.url
        return ModalEndpoints(
            submit=self.servers.submit.url,
            status=self.servers.status.url,
            result=self.servers.result.url,
            cancel=cancel,
            design=self.servers.design.url,
        )

    def environ(self) -> dict[str, str]:
        """The environment variables that lead a client here."""
        endpoints = self.endpoints
        environ = {
            "MODAL_JOB_SUBMIT": endpoints.submit,
            "MODAL_JOB_STATUS": endpoints.status,
            "MODAL_JOB_RESULT": endpoints.result,
            "MODAL_ENDPOINT_VOICE_DESIGN": endpoints.design,
        }
        if endpoints.cancel is not None:
            environ["MODAL_JOB_CANCEL"] = endpoints.cancel
        if self.switches.proxy_auth is not None:
            environ["MODAL_KEY"], environ["MODAL_SECRET"] = self.switches.proxy_auth
        return environ

    def finish(self, job_id: str) -> None:
        """The worker is done with it: the next question about it finds the audio."""
        self.jobs[job_id].due = True

    def fail(self, job_id: str, error: str) -> None:
        """The worker raised ``error``."""
        self.jobs[job_id].fail(error)

    def expire(self, job_id: str) -> None:
        """Its seven days are over: failed, with an empty error, as ``str(OutputExpiredError())`` is."""
        self.jobs[job_id].fail("")

    def forget(self, job_id: str) -> None:
        """Modal has never heard of it."""
        del self.jobs[job_id]


@asynccontextmanager
async def fake_modal(
    *,
    speak: Speaker = tone_speaker,
    checks_until_done: int | None = 1,
    switches: ModalSwitches | None = None,
    ports: Ports = (0, 0, 0, 0, 0),
) -> AsyncIterator[FakeModal]:
    """Serve all five endpoints.

    Raises:
        OSError: a port can't be had.
    """
    apps = ModalApps(speak, checks_until_done, switches or ModalSwitches())
    edges = (
        ModalEdge("submit", "POST", apps.submit, apps.switches),
        ModalEdge("status", "GET", apps.status, apps.switches),
        ModalEdge("result", "GET", apps.result, apps.switches),
        ModalEdge("cancel", "POST", apps.cancel, apps.switches),
        ModalEdge("design", "POST", apps.design, apps.switches),
    )
    async with AsyncExitStack() as stack:
        servers: dict[str, VendorServer] = {}
        for edge, port in zip(edges, ports, strict=True):
            server = await stack.enter_async_context(serving(edge.answer, port=port))
            edge.origin = server.url
            servers[edge.name] = server
        yield FakeModal(apps, ModalServers(**servers))


def ports_from(first: int) -> Ports:
    """Five neighbours, or any five for 0."""
    if first == 0:
        return (0, 0, 0, 0, 0)
    return (first, first + 1, first + 2, first + 3, first + 4)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ttsorch.testing.fake_modal",
        description="Serve a fake Modal deployment on five ports until interrupted.",
    )
    parser.add_argument("--port", type=int, default=8101, help="the first of them; 0: any ports")
    parser.add_argument("--engine", action="store_true", help="real speech instead of tones")
    chosen = parser.parse_args(arguments)
    opening = partial(fake_modal, ports=ports_from(chosen.port))
    return serve_until_signalled(opening, engine=chosen.engine)


if __name__ == "__main__":
    sys.exit(main())
