"""What the reference server's log says about the requests it had."""

import re
from collections import Counter
from pathlib import Path

from ttsorch.contract.handler import ROUTES
from ttsorch.contract.routing import Router
from ttsorch.errors import NotFound

_LINE = re.compile(r"^\S+ \S+ INFO ([A-Z]+) (.*?) (\d{3}|left) \d+ ms ")
_ROUTER = Router(ROUTES)


def answers(log: Path) -> Counter[tuple[str, str, str]]:
    """How often which status was answered, by method and the route's path; other paths are left out."""
    found: Counter[tuple[str, str, str]] = Counter()
    for line in log.read_text(encoding="utf-8").splitlines():
        if match := _LINE.match(line):
            method, path, status = match.groups()
            found[method, _route(path), status] += 1
    return found


def _route(path: str) -> str:
    try:
        resource, _ = _ROUTER.find(path)
    except NotFound:
        return ""
    return next(iter(resource.routes.values())).path
