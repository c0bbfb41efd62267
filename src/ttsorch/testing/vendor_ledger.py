"""What a fake vendor really accepted: the bill, which no client can touch."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AcceptedJob:
    """One piece of work that the vendor took on, and would charge for. ``kind`` is the vendor's operation:
    "synthesis", "clone" or "design"."""

    id: str
    kind: str
    text: str = field(repr=False)


@dataclass
class VendorLedger:
    """Everything that reached the vendor, whether or not the client ever heard the answer.

    ``accepted`` is in the order of time. ``submits`` counts the calls that ask for work, those that were
    refused as well. ``checks`` and ``results`` count, per job id, the status checks answered and the audio
    handed out; ``cancels`` lists the job ids that somebody asked to stop.
    """

    accepted: list[AcceptedJob] = field(default_factory=list)
    submits: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    cancels: list[str] = field(default_factory=list)

    def accept(self, job_id: str, text: str, kind: str = "synthesis") -> None:
        """Put one piece of work on the bill."""
        self.accepted.append(AcceptedJob(job_id, kind, text))

    def accepted_texts(self, kind: str = "synthesis") -> list[str]:
        """The texts of the work of one kind, each as often as it was accepted."""
        return [job.text for job in self.accepted if job.kind == kind]
