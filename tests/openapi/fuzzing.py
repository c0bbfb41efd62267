"""Schemathesis over a server that runs: its settings, and what comes out."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.server.running import ROOT
from ttsorch.models import JsonValue

DOCUMENT = ROOT / "docs" / "openapi.json"
KNOWN_AUDIO = "getKnownAudio"
#: How often a value that is known is sent, rather than one that is made up.
LIKELY = 0.9

#: Warnings that mean that something was not tested at all. (The others say that made-up ids and signatures
#: open nothing, and that most tasks can't be cancelled any more.)
GRAVE = (
    "unsupported_regex",
    "missing_deserializer",
    "unresolvable_reference",
    "dictionary_mismatch",
    "unmatched_filter",
    "base_url_mismatch",
)

#: Where the contract itself contradicts a check.
ANSWERED_OTHERWISE = (
    # R5: a 400 tells about the task, not about the request.
    "[[operations]]",
    'include-operation-id = "cancelTask"',
    'checks.positive_data_acceptance.expected-statuses = ["200", "400", "401", "404", "409"]',
)


@dataclass(frozen=True)
class Known:
    """What a client of this server has: the ids of some voices, of a completed task and of its generation,
    and a signed URL of the audio."""

    voices: Sequence[str]
    task: str
    generation: str
    audio: str

    def values(self) -> Mapping[str, Mapping[str, Sequence[str]]]:
        """What to send where, by the id of the operation."""
        signed = {name: [value] for name, value in parse_qsl(urlsplit(self.audio).query)}
        audio = {f"query.{name}": value for name, value in signed.items()}
        task, generation = {"path.id": [self.task]}, {"path.id": [self.generation]}
        return {
            "generate": {"body.voice_id": self.voices},
            "getTask": task,
            "getTaskHead": task,
            "getGenerationAudio": generation,
            "getGenerationAudioHead": generation,
            "regenerate": generation,
            KNOWN_AUDIO: audio,
            f"{KNOWN_AUDIO}Head": audio,
        }


@dataclass(frozen=True)
class Report:
    """What schemathesis found."""

    status: int
    words: str
    tested: int
    generated: int


def narrowed(client: httpx.Client, known: Known) -> JsonValue:
    """The document, with what only the server at hand can say: its languages and its longest text (R2), and
    the address of some audio. That one is spelled out, because no parameter of an OpenAPI path holds a
    slash."""
    document = json.loads(DOCUMENT.read_text())
    offered = client.get("/api/languages").json()
    body = document["paths"]["/api/generate"]["post"]["requestBody"]["content"]["application/json"]
    fields = body["schema"]["properties"]
    fields["text"]["maxLength"] = offered["capabilities"]["max_text_chars"]
    fields["language"]["anyOf"] = [{"enum": offered["languages"]}, {"not": {"type": "string"}}]
    media = deepcopy(document["paths"]["/api/media/{key}"])
    for method, operation in media.items():
        operation["operationId"] = KNOWN_AUDIO + {"get": ""}.get(method, method.capitalize())
        operation["parameters"] = [
            each for each in operation["parameters"] if each.get("in") != "path"
        ]
    document["paths"][urlsplit(known.audio).path] = media
    found: JsonValue = document
    return found


def settings(known: Known, token: str, *, examples: int, phases: Sequence[str]) -> str:
    """The settings as TOML, whose strings are JSON's."""
    lines = [
        "max-redirects = 0",
        "continue-on-failure = true",
        f"hooks = {json.dumps(str(Path(__file__).with_name('silence.py')))}",
        f"auth.openapi.bearer.bearer = {json.dumps(token)}",
        f"generation.max-examples = {examples}",
        # The same requests every time.
        "generation.deterministic = true",
        "phases.enabled = false",
        *(f"phases.{phase}.enabled = true" for phase in phases),
        "checks.enabled = true",
        f"warnings.fail-on = {json.dumps(GRAVE)}",
    ]
    dictionaries: list[Sequence[str]] = []
    for operation, parameters in known.values().items():
        lines += ["[[operations]]", f"include-operation-id = {json.dumps(operation)}"]
        for parameter, values in parameters.items():
            drawn = f'{{ dictionary = "known{len(dictionaries)}", probability = {LIKELY} }}'
            lines.append(f"parameters.{json.dumps(parameter)} = {drawn}")
            dictionaries.append(values)
    for number, values in enumerate(dictionaries):
        lines += [f"[dictionaries.known{number}]", f"values = {json.dumps(values)}"]
    lines += ANSWERED_OTHERWISE
    return "\n".join(lines) + "\n"


def fuzz(folder: Path, address: str, document: JsonValue, written_settings: str) -> Report:
    """Run schemathesis in a process of its own, as anybody would."""
    api, config, report = folder / "api.json", folder / "schemathesis.toml", folder / "report.json"
    api.write_text(json.dumps(document))
    config.write_text(written_settings)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(config)),
            *("run", str(api), "--url", address),
            *("--report", "json", "--report-json-path", str(report)),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))},
        capture_output=True,
        text=True,
        check=False,
    )
    words = done.stdout + done.stderr
    if not report.exists():
        return Report(done.returncode, words, 0, 0)
    found = json.loads(report.read_text())
    return Report(
        done.returncode, words, found["operations"]["tested"], found["test_cases"]["generated"]
    )
