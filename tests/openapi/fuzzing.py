"""Schemathesis over a server that runs: what it is told, and what comes out."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.openapi.knowing import KNOWN_AUDIO, KNOWN_UPLOAD, Known
from tests.server.running import ROOT

#: How often a value that is known is sent, rather than one that is made up.
_LIKELY = 0.9

#: Warnings that mean that something was not tested at all. (The others say that made-up ids and signatures
#: open nothing, and that most tasks can't be cancelled any more.)
_GRAVE = (
    "unsupported_regex",
    "missing_deserializer",
    "unresolvable_reference",
    "dictionary_mismatch",
    "base_url_mismatch",
)

#: Where the contract refuses a request that is well formed with a 400 of its own, by the row that says so.
_REFUSED_ALL_THE_SAME: Mapping[str, str] = {
    "cancelTask": "R5: Cannot cancel task with status",
    "deleteVoice": "R13: a built-in voice",
    "finalizeClone": "R15: nothing was uploaded, or no audio",
    "saveDesign": "R17: no audio",
}

_ONE_BY_ONE = ("examples", "coverage", "fuzzing")

#: Where a language is looked up at once, and is not optional.
_SPOKEN = ("/api/clone/finalize", "/api/voices/design/preview")


@dataclass(frozen=True)
class Target:
    """A server, what ``user`` knows of it, and the document as it is true there. ``tokens`` are by user."""

    address: str
    tokens: Mapping[str, str]
    user: str
    known: Known
    document: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """What schemathesis says: its exit status, its words, and how much it did."""

    status: int
    words: str
    requests: int
    scenarios: int
    links: int


def narrowed(client: httpx.Client, known: Known) -> dict[str, Any]:
    """The document, with what only the server at hand can say: its languages and its longest text (R2), and
    the addresses of some blobs. Those are spelled out, because no parameter of an OpenAPI path holds a
    slash."""
    document: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text())
    offered = client.get("/api/languages").json()
    for path in _SPOKEN:
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        body["schema"]["properties"]["language"] = {"enum": offered["languages"]}
    _narrow_generate(document, offered)
    _spell_out(document, "/api/media/{key}", known.audio, KNOWN_AUDIO)
    if known.upload is not None:
        _spell_out(document, "/api/uploads/{key}", known.upload, KNOWN_UPLOAD)
    return document


def _narrow_generate(document: dict[str, Any], offered: Mapping[str, Any]) -> None:
    generate = document["paths"]["/api/generate"]["post"]
    fields = generate["requestBody"]["content"]["application/json"]["schema"]["properties"]
    fields["text"]["maxLength"] = offered["capabilities"]["max_text_chars"]
    # One that isn't there is none to refuse.
    silent = {"type": "string", "pattern": r"^[\u0000-\u0020\u007f-\u00a0\u00ad]*$"}
    listed = {"enum": offered["languages"]}
    fields["language"] = {"anyOf": [listed, {"not": {"type": "string"}}, silent]}


def _spell_out(document: dict[str, Any], template: str, link: str, name: str) -> None:
    methods = deepcopy(document["paths"][template])
    for method, operation in methods.items():
        operation["operationId"] = name + (method.capitalize() if method != "get" else "")
        inside = [each for each in operation["parameters"] if each.get("in") != "path"]
        operation["parameters"] = inside
    if "put" in methods:
        methods["put"]["operationId"] = name
    document["paths"][urlsplit(link).path] = methods


def fuzz(target: Target, folder: Path, *, examples: int) -> Report:
    """Requests that are made up one by one: the same ones every time."""
    settings = [
        f"auth.openapi.bearer.bearer = {json.dumps(target.tokens[target.user])}",
        f"generation.max-examples = {examples}",
        "generation.deterministic = true",
        "phases.stateful.enabled = false",
        # Real ids come from ``known``. Those from earlier answers are few and end a run early, and who
        # deletes what they name takes it from all others.
        *(f"phases.{phase}.extra-data-sources.responses = false" for phase in _ONE_BY_ONE),
        *_settings(target.known.values()),
    ]
    return _run(target, folder, settings)


def chains(target: Target, folder: Path, *, scenarios: int, seed: int) -> Report:
    """Requests that follow the document's links, each made of the answer before it; by users who must not
    see each other's."""
    settings = [
        f"seed = {seed}",
        'auth.wfc.path = "users.json"',
        f"auth.wfc.peers = {json.dumps(list(target.tokens))}",
        f"generation.max-examples = {scenarios}",
        "phases.enabled = false",
        "phases.stateful.enabled = true",
        "phases.stateful.max-steps = 12",
        # Our links, and no guesses.
        "phases.stateful.inference.algorithms = []",
        *_settings({}),
        "[[operations]]",
        'include-method = ["HEAD", "OPTIONS"]',
        "enabled = false",
        # A body that was broken on purpose may be whole again once a link has added its field.
        "[[operations]]",
        f"include-operation-id = {json.dumps(_mended_by_links(target.document))}",
        "checks.negative_data_rejection.enabled = false",
    ]
    users = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
        for name, token in target.tokens.items()
    ]
    (folder / "users.json").write_text(json.dumps({"auth": users}))
    return _run(target, folder, settings)


def _mended_by_links(document: dict[str, Any]) -> list[str]:
    found = set()
    for methods in document["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                links = response.get("links", {}).values()
                found |= {link["operationId"] for link in links if "requestBody" in link}
    return sorted(found)


def _settings(known: Mapping[str, Mapping[str, Sequence[str]]]) -> list[str]:
    """As TOML, whose strings are JSON's."""
    hooks = Path(__file__).with_name("unsayable.py")
    lines = [
        "max-redirects = 0",
        "continue-on-failure = true",
        f"hooks = {json.dumps(str(hooks))}",
        "checks.enabled = true",
        f"warnings.fail-on = {json.dumps(_GRAVE)}",
    ]
    dictionaries: list[Sequence[str]] = []
    for operation in sorted(known.keys() | _REFUSED_ALL_THE_SAME.keys()):
        lines += ["[[operations]]", f"include-operation-id = {json.dumps(operation)}"]
        for parameter, chosen in known.get(operation, {}).items():
            drawn = f'{{ dictionary = "known{len(dictionaries)}", probability = {_LIKELY} }}'
            lines.append(f"parameters.{json.dumps(parameter)} = {drawn}")
            dictionaries.append(chosen)
        if operation in _REFUSED_ALL_THE_SAME:
            statuses = ["2xx", "400", "401", "403", "404", "409"]
            lines.append(f"checks.positive_data_acceptance.expected-statuses = {statuses}")
    tables = [
        line
        for number, chosen in enumerate(dictionaries)
        for line in (f"[dictionaries.known{number}]", f"values = {json.dumps(chosen)}")
    ]
    return [*lines, *tables]


def _run(target: Target, folder: Path, settings: Sequence[str]) -> Report:
    """In a process of its own, as anybody would."""
    api, config, report = folder / "api.json", folder / "schemathesis.toml", folder / "report.json"
    api.write_text(json.dumps(target.document), encoding="utf-8")
    config.write_text("\n".join(settings) + "\n", encoding="utf-8")
    report.unlink(missing_ok=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(config)),
            *("run", str(api), "--url", target.address),
            *("--report", "json", "--report-json-path", str(report)),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))},
        capture_output=True,
        text=True,
        check=False,
    )
    words = re.sub(r"(\S{100})\S{100,}", r"\1…", done.stdout + done.stderr)
    assert report.exists(), words
    return Report(
        status=done.returncode,
        words=words,
        requests=json.loads(report.read_text())["test_cases"]["generated"],
        scenarios=_number(r"Scenarios: +(\d+)", words),
        links=_number(r"API Links: +(\d+) covered", words),
    )


def _number(pattern: str, words: str) -> int:
    found = re.search(pattern, words)
    return int(found[1]) if found else 0
