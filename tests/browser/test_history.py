"""The history: finding, turning pages, taking back, and what went wrong in words."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import CHROMIUM, MISSING
from tests.browser.conftest import Visits
from tests.browser.stages import Stage

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)


def test_the_history_is_searched_and_filtered(modal: Stage, visits: Visits) -> None:
    """By what was said, literally and in any case, and by how it ended."""
    modal.spoken_all(["A red apple", "A green pear", "100% ripe"])
    modal.vendor.hold()
    running = modal.speak("A blue plum")
    modal.ask("POST", f"/api/tasks/{running}/cancel")
    visitor = visits(modal).open("history")
    expect(visitor.entries()).to_have_count(4)
    search = visitor.page.get_by_role("searchbox", name="Search history")
    status = visitor.page.get_by_role("combobox", name="Status")

    search.fill("APPLE")
    expect(visitor.entries()).to_have_count(1)
    search.fill("0%")
    expect(visitor.entries()).to_have_text([re.compile("100% ripe")])
    search.fill("nothing like it")
    expect(visitor.main).to_contain_text(re.compile("no(thing|ne)? ", re.IGNORECASE))
    expect(visitor.entries()).to_have_count(0)
    search.fill("")
    status.select_option("Cancelled")
    expect(visitor.entries()).to_have_text([re.compile("A blue plum")])
    status.select_option("All")
    expect(visitor.entries()).to_have_count(4)


def test_the_history_has_pages(modal: Stage, visits: Visits) -> None:
    """Newest first, one page after the other, and back."""
    modal.spoken_all(f"Text number {number:02}" for number in range(23))
    visitor = visits(modal).open("history")
    expect(visitor.pages).to_contain_text("Page 1 of 2")
    expect(visitor.entries().first).to_contain_text("Text number 22")
    expect(visitor.pages.get_by_role("button", name="Previous")).to_be_disabled()

    visitor.pages.get_by_role("button", name="Next").click()

    expect(visitor.pages).to_contain_text("Page 2 of 2")
    expect(visitor.entries().last).to_contain_text("Text number 00")
    expect(visitor.pages.get_by_role("button", name="Next")).to_be_disabled()
    visitor.pages.get_by_role("button", name="Previous").click()
    expect(visitor.entries().first).to_contain_text("Text number 22")


def test_a_deleted_entry_can_be_taken_back(modal: Stage, visits: Visits) -> None:
    """Undo brings it back, and the server never heard of it. Other news, which may be read later, waits
    behind it."""
    modal.spoken("Keep me after all")
    modal.vendor.hold()
    modal.speak("I am ready in a moment, and am somewhat long")
    visitor = visits(modal).open("history")
    expect(visitor.entries()).to_have_count(2)
    deletes: list[str] = []
    visitor.page.on(
        "request",
        lambda request: deletes.append(request.url) if request.method == "DELETE" else None,
    )
    visitor.page.clock.install()

    visitor.act("Delete", "Keep me after all").click()
    expect(visitor.entries()).to_have_count(1)
    modal.vendor.release()
    expect(visitor.messages.get_by_text("and 1 more")).to_be_visible()
    news = visitor.messages.get_by_role("status").filter(visible=True)
    expect(news).to_have_text([re.compile("Deleted")])
    news.get_by_role("button", name="Undo").click()

    expect(visitor.entry("Keep me after all")).to_be_visible()
    expect(news).to_have_text([re.compile("Ready: I am ready in a moment, and am somewhat…")])
    visitor.page.clock.run_for(60_000)
    assert not deletes
    assert modal.ask("GET", "/api/generations")["pagination"]["total"] == 2


def test_a_deleted_entry_is_gone_when_nobody_takes_it_back(modal: Stage, visits: Visits) -> None:
    """After eight seconds, at the server too."""
    modal.spoken("Away with me")
    visitor = visits(modal)
    visitor.page.clock.install()
    visitor.open("history")

    visitor.act("Delete", "Away with me").click()
    expect(visitor.messages.get_by_role("button", name="Undo")).to_be_visible()
    with visitor.page.expect_response(lambda answer: answer.request.method == "DELETE") as deleted:
        visitor.page.clock.run_for(9_000)

    assert deleted.value.status == 200
    expect(visitor.messages.get_by_role("button", name="Undo")).to_be_hidden()
    visitor.reload()
    expect(visitor.entries()).to_have_count(0)
    assert modal.ask("GET", "/api/generations")["pagination"]["total"] == 0


def test_leaving_the_page_does_not_bring_a_deleted_entry_back(modal: Stage, visits: Visits) -> None:
    """Whoever deletes and closes the tab meant it."""
    modal.spoken("Away with me")
    visitor = visits(modal).open("history")

    visitor.act("Delete", "Away with me").click()
    expect(visitor.messages.get_by_role("button", name="Undo")).to_be_visible()
    visitor.page.close(run_before_unload=True)

    modal.wait_until(lambda: modal.ask("GET", "/api/generations")["pagination"]["total"] == 0)


def test_a_failure_is_told_in_a_sentence(modal: Stage, visits: Visits) -> None:
    """Why a job failed stands beside it, and what to do is one click away."""
    modal.vendor.hold()
    task_id = modal.speak("This will fail")
    visitor = visits(modal).open()
    expect(visitor.cancel_button("This will fail")).to_be_visible()
    modal.vendor.fail("The model ran out of memory")
    # Asked often, the server is sure of it sooner than the page alone would make it.
    modal.wait_until(lambda: modal.task(task_id)["status"] == "failed")
    expect(visitor.alerts.first).to_contain_text("The provider failed to generate this audio.")

    visitor.go("History")

    expect(visitor.entry("This will fail")).to_contain_text(
        "failed: The provider failed to generate this audio."
    )
    expect(visitor.act("Play", "This will fail")).to_have_count(0)
    expect(visitor.act("Use again", "This will fail")).to_be_visible()


def test_every_view_has_an_address(modal: Stage, visits: Visits) -> None:
    """Back and forward lead through the views, each with a title of its own."""
    visitor = visits(modal).open()

    expect(visitor.page).to_have_title("Speak – ttsorch")
    visitor.go("History")
    expect(visitor.page).to_have_title("History – ttsorch")
    visitor.go("Voices")
    expect(visitor.page).to_have_title("Voices – ttsorch")
    visitor.page.go_back()
    expect(visitor.page).to_have_title("History – ttsorch")
    expect(visitor.navigation.get_by_role("link", name="History")).to_have_attribute(
        "aria-current", "page"
    )
    visitor.page.go_forward()
    expect(visitor.page).to_have_title("Voices – ttsorch")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text(["ttsorch"])
