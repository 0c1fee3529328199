"""The console of a service that asks for keys."""

from __future__ import annotations

from tests.integration.browser import browsing, needs_chromium
from tests.integration.console_story import sees_numbers_move, use_key
from tests.integration.isolated import Isolated
from tests.integration.load import load
from tests.integration.production.conftest import ADMIN, EMBED


@needs_chromium
def test_the_console_asks_for_a_key_and_shows_what_it_may(running: Isolated) -> None:
    url = running.service.url
    with load(url, EMBED[0]) as statuses, browsing(f"{url}/console") as tab:
        page = tab.page
        page.wait_for_selector("#key", state="visible")
        assert "A key is needed" in tab.text("#state")
        assert page.locator("#models article").count() == 0

        use_key(tab, EMBED[0])
        page.wait_for_selector("#models article")
        page.locator("#traffic-note", has_text="admin").wait_for()

        use_key(tab, ADMIN[0])
        sees_numbers_move(tab)
        assert "admin" not in tab.text("#traffic-note")
        assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        assert page.input_value("#key") == ""

        use_key(tab, EMBED[0])
        page.locator("#traffic-note", has_text="admin").wait_for()
        assert page.locator("#charts figure").count() == 0
        assert tab.complaints == []
    assert set(statuses) == {200}
