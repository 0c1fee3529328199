"""The console as a person uses it, in a real browser."""

from __future__ import annotations

import base64
import io
import re

import httpx2
import numpy as np
from PIL import Image
from playwright.sync_api import JSHandle, Page

from tests.integration.browser import browsing, needs_chromium
from tests.integration.service import Service

PAIR = "#pair .result strong"
SENTENCE = "a blue square"
WAKES_MS = 90_000
COLOURS = {"red.png": (200, 30, 30), "green.png": (30, 200, 30), "blue.png": (30, 30, 200)}
DROPPED = """files => {
  const dropped = new DataTransfer();
  for (const [name, base64] of files) {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    dropped.items.add(new File([bytes], name, { type: "image/png" }));
  }
  return dropped;
}"""


def painted(colour: tuple[int, int, int]) -> str:
    """A picture of a square on white, as base64 of a PNG."""
    picture = Image.new("RGB", (120, 90), "white")
    picture.paste(colour, (30, 15, 90, 75))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


PICTURES = {name: painted(colour) for name, colour in COLOURS.items()}


def dropped(page: Page, pictures: dict[str, str]) -> JSHandle:
    """What the browser hands to a page when a person drops files on it."""
    return page.evaluate_handle(DROPPED, list(pictures.items()))


def best_first(service: Service) -> tuple[list[str], bool]:
    """The pictures in the order in which one request ranks them, and whether weights are random."""
    body = {"model": "clip-vit-base-patch32", "input": [SENTENCE, *PICTURES.values()]}
    answer = httpx2.post(f"{service.url}/v1/embeddings", json=body, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-model"] == "image-embedding@1.0.0, clip-text-embedding@1.0.0"
    sentence, *pictures = (np.array(row["embedding"]) for row in answer.json()["data"])
    cosines = dict(zip(PICTURES, (float(picture @ sentence) for picture in pictures), strict=True))
    return sorted(cosines, key=lambda name: -cosines[name]), answer.headers.get("x-model-weights") == "synthetic"


@needs_chromium
def test_a_person_sees_versions_and_traffic_compares_texts_and_finds_a_picture_by_a_sentence(service: Service) -> None:
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

        page.click("#search button")
        page.locator("#search .warning", has_text="drop a picture first").wait_for()
        page.dispatch_event("#drop", "drop", {"dataTransfer": dropped(page, PICTURES)})
        page.locator("#search img >> nth=2").wait_for()
        page.fill("#search input[name=sentence]", SENTENCE)
        page.click("#search button")
        found = page.locator("ol[aria-label='Pictures, best first'] li")
        found.first.wait_for(timeout=WAKES_MS)  # the text tower starts with its first sentence
        best, synthetic = best_first(service)
        assert [line.split()[0] for line in found.all_inner_texts()] == best
        assert found.locator(".badge").count() == (len(PICTURES) if synthetic else 0)
        assert ("random weights" in tab.text("#search output")) == synthetic
        assert "By clip-vit-base-patch32" in tab.text("#search-note")

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
