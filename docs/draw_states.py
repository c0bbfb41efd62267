"""Writes docs/states.md from the transition table; with --check, fails when the page is out of date."""

import sys
from dataclasses import replace
from pathlib import Path

from ttsorch.models import Phase, Policy
from ttsorch.states import TRANSITIONS, new_task, provider_status
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.speech import a_voice

PAGE = Path(__file__).with_name("states.md")

HEAD = """\
# The states of a task

Drawn from `ttsorch.states.TRANSITIONS` by `docs/draw_states.py`; don't edit. Every other event in a phase
raises `IllegalTransition` and changes nothing. `TaskFailed`, `DeadlinePassed` and `CancelRequested` are left
out of the picture: every active phase takes them, and they lead to `failed`, `failed` and `cancelled`.

"""
_EVERYWHERE = {"TaskFailed", "DeadlinePassed", "CancelRequested"}


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> queued"]
    for phase, row in TRANSITIONS.items():
        for event, target in row.items():
            if event.__name__ not in _EVERYWHERE and target is not phase:
                lines.append(f"    {phase} --> {target}: {event.__name__}")
    lines += [f"    {phase} --> [*]" for phase in Phase if phase.status.terminal]
    return "\n".join([*lines, "```"])


def table() -> str:
    """Phase, v1 status, the word shown, and what the phase's own events are."""
    task = new_task(
        id="t",
        owner="o",
        provider="p",
        voice=a_voice(),
        characters=0,
        now=ManualClock()(),
        policy=Policy(),
    )
    lines = ["| phase | v1 status | shown as | takes |", "|---|---|---|---|"]
    for phase, row in TRANSITIONS.items():
        events = ", ".join(f"`{event.__name__}`" for event in row) or "nothing"
        word = provider_status(replace(task, phase=phase))
        lines.append(f"| `{phase}` | `{phase.status}` | `{word}` | {events} |")
    return "\n".join(lines)


def main() -> int:
    page = f"{HEAD}{diagram()}\n\n{table()}\n"
    if "--check" not in sys.argv:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == page:
        return 0
    print("docs/states.md is out of date: run python docs/draw_states.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
