"""Every benchmark runs, from the command line, and says what it found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS

ROOT = Path(__file__).parents[2]


@pytest.mark.deep
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BENCHMARKS)
def test_it_runs_and_writes_what_it_found(name: str, tmp_path: Path) -> None:
    """With a few calls and rounds: the figures mean nothing, but each is there, and a missed bar is no
    error."""
    written = tmp_path / "found.json"
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--json", str(written)]
    done = subprocess.run(
        [*command, "--results", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    findings = json.loads(written.read_text())["findings"]
    assert findings
    for finding in findings:
        assert finding["what"] in done.stdout
        assert finding["figure"]["value"] >= 0
    assert (tmp_path / "bars.svg").read_text().startswith("<svg")
