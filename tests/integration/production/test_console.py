"""The console of a service that asks for keys."""

from __future__ import annotations

from tests.integration.browser import browsing, needs_chromium
from tests.integration.isolated import Isolated
from tests.integration.production.conftest import ADMIN, EMBED


@needs_chromium
def test_the_console_asks_for_a_key_and_shows_what_it_may(running: Isolated) -> None:
    with browsing(f"http://127.0.0.1:{running.service.port}/console") as tab:
        page = tab.page

        def use(key: str) -> None:
            page.fill("#key", key)
            page.press("#key", "Enter")

        page.wait_for_selector("#key", state="visible")
        assert "A key is needed" in tab.text("#state")
        assert page.locator("#models article").count() == 0

        use(EMBED[0])
        page.wait_for_selector("#models article")
        page.locator("#traffic-note", has_text="admin").wait_for()

        use(ADMIN[0])
        page.wait_for_selector("#charts figure", timeout=60_000)
        assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        assert page.input_value("#key") == ""
