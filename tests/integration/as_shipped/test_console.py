"""The console as a person uses it, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

from tests.integration.browser import browsing, needs_chromium
from tests.integration.service import Service

PAIR = "#pair .result strong"


@needs_chromium
def test_a_person_sees_versions_and_traffic_and_compares_texts(service: Service, jpeg: bytes, tmp_path: Path) -> None:
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(jpeg)
    with browsing(f"{service.url}/console") as tab:
        page = tab.page
        page.wait_for_selector("#models article")
        assert "text-embedding@1.0.0" in tab.text("#models")
        assert re.search(r"\d of \d versions are ready", tab.text("#state"))

        page.fill("#pair input[name=first]", "a red running shoe")
        page.fill("#pair input[name=second]", "a red running shoe")
        page.keyboard.press("Enter")
        page.wait_for_selector(PAIR)
        assert float(tab.text(PAIR)) > 0.9999
        assert "text-embedding@1.0.0" in tab.text("#pair output")

        page.click("#lines button")
        page.wait_for_selector("#lines td.heat")
        assert page.locator("#lines td.heat").count() == 25
        page.fill("#lines textarea", "only one line")
        page.click("#lines button")
        page.wait_for_selector("#lines .warning")
        assert "at least two lines" in tab.text("#lines output")

        page.set_input_files("#search input[type=file]", picture)
        page.wait_for_selector("#search .warning")  # the shipped configuration serves no text model of its family
        assert "embedserve add clip-text-embedding" in tab.text("#search-note")

        page.wait_for_selector("#charts figure", timeout=60_000)
        assert "requests/s" in tab.text("#charts")
        assert tab.too_wide() == []
        assert tab.complaints == []


@needs_chromium
def test_a_text_is_never_markup(service: Service) -> None:
    line = "<img src=x onerror=document.title='broken'>"
    with browsing(f"{service.url}/console") as tab:
        tab.page.wait_for_selector("#lines option", state="attached")
        tab.page.fill("#lines textarea", f"{line}\nanother line")
        tab.page.click("#lines button")
        tab.page.wait_for_selector("#lines td.heat")
        assert line in tab.text("#lines output")
        assert tab.page.title() == "embedserve console"
