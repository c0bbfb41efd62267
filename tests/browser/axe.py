"""axe-core, which knows the rules of accessibility (WCAG and best practice), asked about the page."""

from functools import cache
from importlib.resources import files

from playwright.sync_api import Page

# Everything that axe knows, of any level.
_ASK = """(rules) => axe.run(document, rules ? { runOnly: { type: "rule", values: rules } } : {})
  .then((found) => [
    ...found.violations.flatMap((each) => each.nodes.map((node) =>
      `${each.id} (${each.impact}): ${node.target.join(" ")}: ${node.failureSummary}`)),
  ])"""
#: The only rule that depends on the colours.
COLOURS = ["color-contrast"]


@cache
def _source() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text()


def violations(page: Page, rules: list[str] | None = None) -> list[str]:
    """What is wrong, in axe's words; of the given rules, or of all. It is evaluated in the page, which its
    Content-Security-Policy doesn't hinder, and so nothing has to be loosened."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_source())
    found: list[str] = page.evaluate(_ASK, rules)
    return found
