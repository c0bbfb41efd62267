"""Somebody at the page. Everything is found as a person finds it, by its role and its accessible name."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import BrowserContext, Locator, Page, ViewportSize, expect

from tests.browser.watching import Watch

#: In milliseconds; generous, because tests share their machine.
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)

DESKTOP: ViewportSize = {"width": 1100, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}
PICTURE: ViewportSize = {"width": 900, "height": 770}
#: How much of a text is in the name of its buttons.
_NAMED = 40


@contextmanager
def patience(visitor: "Visitor", milliseconds: int) -> Iterator[None]:
    """More of it, for a while."""
    expect.set_options(timeout=milliseconds)
    visitor.page.set_default_timeout(milliseconds)
    try:
        yield
    finally:
        expect.set_options(timeout=PATIENCE)


# Once: who signs out is not signed in again.
_REMEMBER = """
if (location.protocol === "http:" && !sessionStorage.getItem("visited")) {
  sessionStorage.setItem("visited", "yes");
  sessionStorage.setItem("ttsorch.token", "TOKEN");
}
"""


class Visitor:
    """One tab. ``token`` is None where the server wants none."""

    def __init__(self, page: Page, watch: Watch, token: str | None = None) -> None:
        self.page = page
        self.watch = watch
        self.token = token
        page.set_default_timeout(PATIENCE)

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    # --- coming in

    def open(self, view: str = "speak") -> "Visitor":
        """The page, signed in and ready: the tab remembers the token, as it does after a reload."""
        if self.token is not None:
            self.page.add_init_script(_REMEMBER.replace("TOKEN", self.token))
        self.page.goto(f"{self.watch.origin}/#{view}")
        self.ready()
        return self

    def reload(self) -> None:
        """A token is remembered by the tab."""
        self.page.reload()
        self.ready()

    def ready(self) -> None:
        """Wait until what the view needs from the server is there."""
        if self.view == "speak":
            expect(self.counter).to_be_visible()
            expect(self.language.locator("option").first).to_be_attached()
            expect(self.voice).not_to_have_value("")
        else:
            expect(self.main).not_to_have_attribute("aria-busy", "true")

    def sign_in(self, token: str) -> None:
        dialog = self.dialog("Sign in")
        dialog.get_by_label("Token").fill(token)
        dialog.get_by_role("button", name="Continue").click()
        expect(dialog).to_be_hidden()

    def go(self, view: str) -> None:
        """By the navigation."""
        self.navigation.get_by_role("link", name=view).click()

    @property
    def view(self) -> str:
        return self.page.url.partition("#")[2] or "speak"

    # --- what is on every view

    @property
    def main(self) -> Locator:
        return self.page.get_by_role("main")

    @property
    def navigation(self) -> Locator:
        return self.page.get_by_role("navigation", name="Main")

    @property
    def messages(self) -> Locator:
        return self.page.get_by_role("region", name="Messages")

    @property
    def alerts(self) -> Locator:
        """Every alert that says something."""
        return (
            self.page.get_by_role("alert").filter(visible=True).filter(has_text=re.compile(r"\S"))
        )

    def dismiss_everything(self) -> None:
        """Read, and put away."""
        dismiss = self.messages.get_by_role("button", name="Dismiss")
        while dismiss.count():
            dismiss.first.click()

    def dialog(self, name: str) -> Locator:
        return self.page.get_by_role("dialog", name=name)

    @property
    def jobs(self) -> Locator:
        return self.page.get_by_role("region", name="In progress")

    def job(self, text: str) -> Locator:
        """The card of the job that speaks ``text``."""
        return self.jobs.get_by_role("listitem").filter(has_text=text[:_NAMED])

    def cancel_button(self, text: str) -> Locator:
        return self.jobs.get_by_role("button", name=f"Cancel: {text[:_NAMED]}")

    @property
    def player(self) -> Locator:
        return self.page.get_by_role("region", name="Player")

    @property
    def position(self) -> Locator:
        return self.player.get_by_role("slider", name="Position")

    # --- Speak

    @property
    def form(self) -> Locator:
        return self.page.get_by_role("form", name="Speak")

    @property
    def text(self) -> Locator:
        return self.form.get_by_role("textbox", name="Text", exact=True)

    @property
    def counter(self) -> Locator:
        return self.form.get_by_text(re.compile(r"^[\d,]+ / [\d,]+"))

    @property
    def voice(self) -> Locator:
        return self.form.get_by_role("combobox", name="Voice")

    @property
    def language(self) -> Locator:
        return self.form.get_by_role("combobox", name="Language")

    @property
    def speak_button(self) -> Locator:
        return self.form.get_by_role("button", name="Speak", exact=True)

    def options(self) -> Locator:
        """The voices on offer, once the picker is open."""
        return self.page.get_by_role("listbox", name="Voices").get_by_role("option")

    def speak(self, text: str) -> None:
        self.text.fill(text)
        self.speak_button.click()

    # --- History

    @property
    def history(self) -> Locator:
        return self.page.get_by_role("list", name="History")

    def entries(self) -> Locator:
        return self.history.locator("> *")

    def entry(self, text: str) -> Locator:
        return self.entries().filter(has_text=text)

    def act(self, what: str, text: str) -> Locator:
        """The button of an entry: "Play", "Download", "Use again" or "Delete"."""
        return self.history.get_by_role("button", name=f"{what}: {text[:_NAMED]}")

    @property
    def pages(self) -> Locator:
        return self.page.get_by_role("navigation", name="Pages").filter(visible=True)

    # --- Voices

    @property
    def voices(self) -> Locator:
        return self.main.get_by_role("list", name="Voices")

    def voice_entry(self, name: str) -> Locator:
        return self.voices.locator("> *").filter(has_text=name)
