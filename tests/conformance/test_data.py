"""The exchanges themselves: in form, complete, and consistent with one another."""

import json
from collections.abc import Iterator

import pytest

from ttsorch.conformance import BadExchanges, plan, read_theme, shipped_cases, theme_of
from ttsorch.conformance.carrying import taken_from_others
from ttsorch.conformance.library import THEMES
from ttsorch.conformance.rows import ROWS
from ttsorch.conformance.schema import Case, Step
from ttsorch.errors import ValidationError

CASES = {case.id: case for case in shipped_cases()}

#: What a run begins with (``ttsorch.conformance.probing``).
GIVEN = {
    "N",
    "missing.id",
    "run.id",
    "provider.name",
    "voice.id",
    "builtin.id",
    "foreign.id",
    "foreign.provider",
    "clip.transcript",
}
#: Every sentence of the contract's sections 2 and 3 that a client can bring about.
PROVOKED = [
    "Missing authorization header",
    "Invalid or expired token",
    "Invalid JSON body",
    "Task not found.",
    "Cannot cancel task with status: completed",
    "Cannot cancel task with status: cancelled",
    "Task is no longer cancellable.",
    "Generation not found.",
    "Generation not found",
    "Generation audio not available.",
    "Voice not found.",
    "Voice not found",
    "Voice has no reference audio.",
    "Built-in voices cannot be deleted.",
    "Please select a voice",
    "Invalid voice_id",
    "Please enter text to speak",
    "Text cannot exceed {N} characters",
    "Voice belongs to provider '{foreign.provider}'. Switch provider mode or create a {provider.name} voice.",
    "Cancelled by user",
]
#: The others, and why no client of a server that works can make it say them.
BEYOND_A_CLIENT = {
    "Invalid TTS_PROVIDER_MODE": "the operator's setting",
    "Invalid storage object key.": "a row that was imported with another owner's key",
    "Generation has no voice_id.": "a row from before voices had ids",
    "This voice has no reference transcript.": "a voice from before a transcript was required",
    "Reference audio too large for generation.": "a clip from before the upload was limited",
    "Voice is missing qwen provider metadata.": "a row that was imported",
    "Voice target model is not supported": "a change of the operator's settings",
    "Voice/provider model mismatch": "a change of the operator's settings",
    "A generation is already in progress.": "the operator's cap, none by default",
    "Failed to submit generation job.": "a provider that refuses",
}


def steps() -> Iterator[tuple[Case, Step]]:
    for case in CASES.values():
        for step in case.steps:
            yield case, step


def test_every_row_is_proved() -> None:
    """And nothing that isn't one."""
    proved = {row for case in CASES.values() for row in case.proves}

    assert proved == ROWS.keys()
    assert {f"R{number}" for number in range(1, 18)} | {"A1", "A2"} <= ROWS.keys()


@pytest.mark.parametrize("sentence", PROVOKED)
def test_every_sentence_is_asked_for(sentence: str) -> None:
    """To the letter, by some step."""
    texts = [
        json.loads(step.model_dump_json(by_alias=True, exclude_unset=True)) for _, step in steps()
    ]

    assert any(json.dumps(sentence) in json.dumps(text) for text in texts)


def test_no_sentence_is_forgotten() -> None:
    """What no client can bring about isn't in the data, and its reason is written down."""
    data = "".join(step.model_dump_json(by_alias=True, exclude_unset=True) for _, step in steps())

    assert [sentence for sentence in BEYOND_A_CLIENT if sentence in data] == []


def test_names_are_unique() -> None:
    """A name on the command line is a case or a theme, and one only."""
    cases = shipped_cases()

    assert len({case.id for case in cases}) == len(cases)
    assert not {case.id for case in cases} & set(THEMES)
    assert {theme_of(case) for case in cases} == set(THEMES)


def test_a_case_takes_only_what_it_needs() -> None:
    """Every value comes from the case itself, from one that runs before it, or is there from the start."""
    for case in CASES.values():
        before = {
            name for need in _all_needs(case) for step in CASES[need].steps for name in step.save
        }
        assert taken_from_others(case) <= before | GIVEN, case.id


def test_a_case_runs_after_what_it_needs() -> None:
    """The order of the files is the order of the run."""
    place = {case_id: number for number, case_id in enumerate(CASES)}

    assert [
        (case.id, need)
        for case in CASES.values()
        for need in case.needs
        if place[need] > place[case.id]
    ] == []


def test_what_needs_a_voice_says_so() -> None:
    """Otherwise a server without any would be found different."""
    users = {case.id for case in CASES.values() if "voice.id" in taken_from_others(case)}
    known = {"builtin_voice": "builtin.id", "foreign_voice": "foreign.id"}

    assert {id_ for id_ in users if not _requires(CASES[id_], "voice")} == set()
    for requirement, value in known.items():
        for case in CASES.values():
            assert (value in taken_from_others(case)) <= (requirement in case.requires)


def test_the_cost_is_told() -> None:
    """Every speech and voice that a case starts is in its cost, and is deleted in the end."""
    paid = {
        "/api/generate": "speeches",
        "/api/clone/finalize": "voices",
        "/api/voices/design/preview": "voices",
    }
    for case in CASES.values():
        for path, kind in paid.items():
            started = [
                step
                for step in case.steps
                if (step.method, step.path) == ("POST", path) and 200 in step.expect.statuses
            ]
            assert len(started) <= getattr(case.cost, kind), case.id
            assert not started or case.cleanup, case.id


def test_a_plan_tells_its_cost() -> None:
    """So that whoever pays can say no."""
    assert plan().in_words() == (
        f"{len(CASES)} cases. This makes up to 9 short speeches and 5 voices; what it makes it deletes."
    )
    assert "nothing is spoken" in plan(rows=["R1"]).in_words()
    assert "nothing is spoken" in plan(paid=False).in_words()


def test_rows_and_themes_narrow_a_plan_together() -> None:
    """A case has to be of one of the rows, and of one of the themes."""
    chosen = [case.id for case in plan(rows=["R7"], only=["isolation"]).cases]

    assert chosen == ["speech", "foreign-lists"]


@pytest.mark.parametrize(("rows", "only"), [(["R18"], []), ([], ["nothing"])])
def test_what_means_nothing_is_refused(rows: list[str], only: list[str]) -> None:
    """Rather than run nothing and call it passed."""
    with pytest.raises(ValidationError, match="in the exchanges"):
        plan(rows=rows, only=only)


def _theme(**step: object) -> str:
    whole = {"path": "/api/health", "expect": {"status": 200}, **step}
    case = {"id": "a", "name": "A.", "proves": ["R1"], "steps": [whole]}
    return json.dumps({"theme": "A", "cases": [case]})


@pytest.mark.parametrize(
    "step",
    [
        {"expect": {"status": 200, "detial": "Misspelt."}},
        {"expect": {"status": 200, "json": {"keys": {"ok": "bool"}}}},
        {"expect": {}},
        {"who": "admin"},
        {"body": {"text": "a", "json": {}}},
        {"body": {}},
        {"url": "{a.link}"},
        {"path": None},
        {"path": None, "url": "{a.link}", "who": "owner"},
        {"path": None, "url": "{a.link}"},
    ],
    ids=str,
)
def test_data_out_of_form_is_refused(step: dict[str, object]) -> None:
    """A check that was misspelt would never be made; and no token is ever sent where a server points."""
    with pytest.raises(BadExchanges, match=r"^bad\.json: "):
        read_theme(_theme(**step), "bad")


@pytest.mark.parametrize("text", ["", "[", "{}", '{"theme": "A", "cases": []}'])
def test_a_file_out_of_form_is_refused(text: str) -> None:
    """Nothing to run is no file of exchanges."""
    with pytest.raises(BadExchanges):
        read_theme(text, "bad")


def test_examples_are_laid_over_their_step() -> None:
    """Each is a step of its own: objects are merged, everything else is replaced."""
    text = _theme(
        expect={"status": 200, "headers": {"a": "sentence"}},
        examples=[{}, {"path": "/api/b", "expect": {"status": 404, "headers": {"b": "null"}}}],
    )
    first, second = read_theme(text, "good").cases[0].steps

    assert (first.path, first.expect.status) == ("/api/health", 200)
    assert first.expect.headers.keys() == {"a"}
    assert (second.path, second.expect.status) == ("/api/b", 404)
    assert second.expect.headers.keys() == {"a", "b"}


def _all_needs(case: Case) -> set[str]:
    return {each for need in case.needs for each in ({need} | _all_needs(CASES[need]))}


def _requires(case: Case, requirement: str) -> bool:
    return requirement in case.requires or any(
        requirement in CASES[need].requires for need in _all_needs(case)
    )
