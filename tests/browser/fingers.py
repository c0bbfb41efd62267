"""Somebody without a mouse."""

from typing import TypedDict

from playwright.sync_api import Page

# Name and role as the browser tells them to a screen reader would need a session of its own per step; what
# our page uses is all here.
_WHERE = """() => {
  const at = document.activeElement;
  const style = getComputedStyle(at);
  const labelled = (at.getAttribute("aria-labelledby") ?? "").split(" ")
    .map((id) => document.getElementById(id)?.textContent ?? "").join(" ").trim();
  const name = at.getAttribute("aria-label") ?? (labelled || at.labels?.[0]?.textContent || at.textContent);
  const box = at.getBoundingClientRect();
  const middle = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return {
    name: name.trim().replace(/\\s+/g, " "),
    role: at.getAttribute("role") ?? { A: "link", BUTTON: "button" }[at.tagName] ?? at.tagName.toLowerCase(),
    nowhere: at === document.body || at === document.documentElement || !at.isConnected,
    marked: at.matches(":focus-visible") &&
      ((style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none"),
    covered: middle !== null && !at.contains(middle) && !middle.contains(at)
      && middle.closest("label")?.control !== at,
    outside: box.bottom <= 0 || box.top >= innerHeight,
  };
}"""
#: More stops than the page has.
_MOST_STOPS = 120


class Where(TypedDict):
    """What has the focus. ``marked``: one sees it; ``covered``: something lies over it."""

    name: str
    role: str
    nowhere: bool
    marked: bool
    covered: bool
    outside: bool


class Fingers:
    """On a keyboard."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def where(self) -> Where:
        at: Where = self._page.evaluate(_WHERE)
        return at

    def press(self, key: str) -> None:
        self._page.keyboard.press(key)

    def type(self, text: str) -> None:
        self._page.keyboard.type(text)

    def keep(self) -> None:
        """The focus isn't lost: the next Tab goes on from where one was."""
        assert not self.where()["nowhere"], "the focus was lost"

    def tab_to(self, name: str, role: str | None = None) -> None:
        """Press Tab until something of this name has the focus; every stop on the way must show itself."""
        passed = []
        for _ in range(_MOST_STOPS):
            self.press("Tab")
            at = self.where()
            if at["nowhere"]:
                continue  # between the page's end and its beginning
            passed.append(at["name"])
            assert at["marked"], f"nobody sees that the focus is on {at}"
            assert not at["covered"], f"something covers {at}"
            assert not at["outside"], f"{at} is outside of the window"
            if at["name"] == name and role in (None, at["role"]):
                return
        raise AssertionError(f"Tab never came to {name}, only to {passed}")
