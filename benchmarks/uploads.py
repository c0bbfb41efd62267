"""P9: 100 MB of speech on its way into a bucket, against aioboto3 with the same answer of the same vendor;
and how much the process grows by it, with a server as fast as it is and with one behind a slow line.

The server is moto, which is not fast: what a cloud takes would hide even more of what the clients differ in.
Every round is a process of its own, which :mod:`benchmarks.uploading` is.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.findings import Bar, Finding
from benchmarks.pairs import FEWEST_ROUNDS, Effort, Rounds, median, ratio, take_turns
from benchmarks.slow_line import slow_line
from benchmarks.uploading import WHO
from benchmarks.vendor import vendor
from tests.storage.buckets import S3Bucket, s3_server

_BYTES = 100_000_000
_SLOW_BYTES_PER_SECOND = 25_000_000
#: More would take long and say nothing new: the figure is one of memory alone.
_SLOW_ROUNDS = 3


def run(effort: Effort) -> Iterator[Finding]:
    size = effort.calls(_BYTES)
    size -= size % 2  # the header says how many 16-bit samples there are
    with vendor() as url, s3_server() as origin:
        fast = _Uploads(url, size, origin, origin)
        costs = fast.measured(min(effort.rounds, FEWEST_ROUNDS))
        yield _speed(size, costs)
        yield fast.growth("a fast server")
        with slow_line(origin, _SLOW_BYTES_PER_SECOND) as slow_origin:
            slow = _Uploads(url, size, origin, slow_origin)
            slow.measured(min(effort.rounds, _SLOW_ROUNDS))
            yield slow.growth(f"a server that takes {_SLOW_BYTES_PER_SECOND / 1e6:.0f} MB/s")


class _Uploads:
    """Rounds at one server, which is reached at ``endpoint`` by those who are measured."""

    def __init__(self, vendor_url: str, size: int, origin: str, endpoint: str) -> None:
        self._vendor_url, self._size = vendor_url, size
        self._origin, self._endpoint = origin, endpoint
        self._grown: dict[str, list[float]] = {name: [] for name in WHO}

    def measured(self, rounds: int) -> Rounds:
        # Each round stores something small before it measures: there is nothing to warm up.
        return take_turns({name: partial(self._cost, name) for name in WHO}, rounds, warm_up=0)

    def growth(self, server: str) -> Finding:
        ours, theirs = (median(self._grown[name]) for name in ("finalize", "aioboto3"))
        what = f"finalize {self._size / 1e6:.0f} MB to {server}: growth of the process"
        return Finding("P9", what, ours, Bar(8.0), "MiB", f"aioboto3 {theirs.value:.0f} MiB")

    def _cost(self, who: str) -> float:
        bucket = S3Bucket.made_at(self._origin)
        arguments = (self._vendor_url, str(self._size), self._endpoint, bucket.name)
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-W", "ignore", "-m", "benchmarks.uploading", who, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        told = json.loads(done.stdout)
        self._grown[who].append(told["grown"])
        return float(told["seconds"])


def _speed(size: int, costs: Rounds) -> Finding:
    note = ", ".join(f"{name} {size / median(costs[name]).value / 1e6:.0f} MB/s" for name in costs)
    what = f"MB/s of finalize {size / 1e6:.0f} MB to a bucket / aioboto3"
    return Finding(
        "P9", what, ratio(costs, "aioboto3", "finalize"), Bar(0.8, at_least=True), note=note
    )
