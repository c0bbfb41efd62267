"""Debian's Chromium, driven by Playwright, if this machine has it; never Playwright's own download."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

#: Other distributions call it differently; ``CHROMIUM`` names one that is nowhere to be found.
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
MISSING = "needs Chromium: apt-get install chromium"

# Nothing leaves the machine, nothing is heard, and the microphone is a beep that needs no permission.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser process. Playwright's loop occupies this thread until the end, so that no other loop can
    run in it: that is why each module has a browser of its own, which costs half a second."""
    assert CHROMIUM is not None, MISSING
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()
