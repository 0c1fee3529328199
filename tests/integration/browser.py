"""A real browser, and what it complained about."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing (Debian package chromium)")
WIDTHS = (1280, 768, 390)  # of a screen, a tablet, a telephone


@dataclass
class Tab:
    """A page that is open."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        """What stands there, as a person sees it."""
        return self.page.inner_text(selector)

    def too_wide(self) -> list[int]:
        """The widths of screens at which something sticks out on the right."""
        found = []
        for width in WIDTHS:
            self.page.set_viewport_size({"width": width, "height": 900})
            if self.page.evaluate("document.documentElement.scrollWidth") > width:
                found.append(width)
        return found


@contextmanager
def browsing(address: str) -> Iterator[Tab]:
    """Open an address; what the page writes into the browser's console is kept."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            tab = Tab(browser.new_page())
            tab.page.on("console", lambda message: tab.complaints.append(f"{message.type}: {message.text}"))
            tab.page.on("pageerror", lambda error: tab.complaints.append(f"error: {error}"))
            tab.page.goto(address)
            yield tab
        finally:
            browser.close()
