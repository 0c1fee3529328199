"""The console as a person uses it, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deployments.auth.api_keys import new_key
from deployments.auth.key_file import FILE_VARIABLE, changing
from tests.integration.browser import browsing, needs_chromium
from tests.integration.console_story import compares_two_texts, finds_a_picture, sees_numbers_move, use_key
from tests.integration.isolated import isolated
from tests.integration.load import load
from tests.integration.service import Service


@needs_chromium
def test_a_person_sees_versions_and_traffic_compares_texts_and_finds_a_picture_by_a_sentence(service: Service) -> None:
    with load(service.url) as statuses, browsing(f"{service.url}/console") as tab:
        page = tab.page
        page.wait_for_selector("#models article")
        assert "text-embedding@1.0.0" in tab.text("#models")
        assert re.search(r"\d of \d versions are ready", tab.text("#state"))
        compares_two_texts(tab)

        page.click("#lines button")
        page.wait_for_selector("#lines td.heat")
        assert page.locator("#lines td.heat").count() == 25
        page.fill("#lines textarea", "only one line")
        page.click("#lines button")
        page.wait_for_selector("#lines .warning")
        assert "at least two lines" in tab.text("#lines output")

        page.click("#search button")
        page.locator("#search .warning", has_text="drop a picture first").wait_for()
        finds_a_picture(tab, service.url)
        sees_numbers_move(tab)
        assert tab.too_wide() == []
        assert tab.complaints == []
    assert set(statuses) == {200}


@pytest.mark.slow
@needs_chromium
def test_a_person_does_all_of_it_at_a_service_that_asks_for_keys_while_load_runs() -> None:
    embed, admin = new_key("shop", ("embed",)), new_key("ops", ("admin", "embed"))

    def prepare(folder: Path) -> dict[str, str]:
        with changing(folder / "api-keys") as keys:
            keys += [embed[1], admin[1]]
        return {FILE_VARIABLE: str(folder / "api-keys")}

    with isolated(prepare=prepare) as running:
        url = running.service.url
        with load(url, embed[0]) as statuses, browsing(f"{url}/console") as tab:
            tab.page.wait_for_selector("#key", state="visible")
            assert tab.page.locator("#models article").count() == 0
            use_key(tab, embed[0])
            tab.page.wait_for_selector("#models article")
            compares_two_texts(tab)
            finds_a_picture(tab, url, embed[0])
            tab.page.locator("#traffic-note", has_text="admin").wait_for()
            use_key(tab, admin[0])
            sees_numbers_move(tab)
            assert "admin" not in tab.text("#traffic-note")
            assert tab.too_wide() == []
            assert tab.complaints == []
        assert set(statuses) == {200}


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


@needs_chromium
def test_what_versions_share_is_shown_at_both_of_them(service: Service) -> None:
    gauge = 'ray_embedserve_neighbour_inputs{model="m",version="1",other="2",same='
    exposition = "\n".join(f'{gauge}"{same}"}} {inputs}' for same, inputs in ((10, 100), (8, 100)))
    draw = """async (text) => {
        const [{ note }, { drawModels }] = await Promise.all([import("/console/traffic.js"), import("/console/versions.js")]);
        const listed = ["m@1", "m@2"].map((id) => ({ id, version: id.slice(2), state: "ready", replicas: 1, share: 0.5 }));
        const place = document.createElement("div");
        drawModels(place, listed, note(text));
        return [...place.querySelectorAll("dt")].map((dt) => `${dt.textContent}: ${dt.nextSibling.textContent}`);
    }"""
    with browsing(f"{service.url}/console") as tab:
        shown = tab.page.evaluate(draw, exposition)
    assert "shares with 2: 90 % of ten neighbours, 200 inputs" in shown
    assert "shares with 1: 90 % of ten neighbours, 200 inputs" in shown
