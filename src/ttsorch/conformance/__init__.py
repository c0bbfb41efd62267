"""The v1 contract as exchanges, and the runner that tells whether a server keeps to it.

The server may be written in any language: all that is looked at is HTTP. The exchanges are data
(``exchanges/*.json``), whose form is in :mod:`ttsorch.conformance.schema`. ``ttsorch contract-test URL`` runs
them from a shell, and :func:`run_contract` from a test::

    report = await run_contract("http://127.0.0.1:8000", Tokens(owner="one", other="two"))
    assert report.passed, report.differences()
"""

from ttsorch.conformance.library import BadExchanges, read_theme, shipped_cases, theme_of
from ttsorch.conformance.payloads import Clip
from ttsorch.conformance.planning import Plan, plan
from ttsorch.conformance.probing import Tokens, Unreachable
from ttsorch.conformance.report import Difference, Outcome, Report, Result
from ttsorch.conformance.running import Remains, Settings, run_contract
from ttsorch.conformance.schema import Case, Cost, Theme

__all__ = [
    # a run
    "run_contract",
    "Tokens",
    "Settings",
    "Remains",
    "Clip",
    "Plan",
    "plan",
    # what it found
    "Report",
    "Result",
    "Outcome",
    "Difference",
    "Unreachable",
    # the data
    "Theme",
    "Case",
    "Cost",
    "shipped_cases",
    "theme_of",
    "read_theme",
    "BadExchanges",
]
