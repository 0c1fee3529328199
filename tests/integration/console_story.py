"""What a person does with the console, step by step."""

from __future__ import annotations

import base64
import io

import httpx2
import numpy as np
from PIL import Image
from playwright.sync_api import JSHandle, Page

from tests.integration.browser import Tab

PAIR = "#pair .result strong"
SENTENCE = "a blue square"
WAKES_MS = 90_000
COUNTED_MS = 60_000  # Ray exports counts now and then, the page asks every five seconds
COLOURS = {"red.png": (200, 30, 30), "green.png": (30, 200, 30), "blue.png": (30, 30, 200)}
RATE = "section[aria-label='Traffic of text-embedding@1.0.0'] figure:first-child strong"
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


def use_key(tab: Tab, key: str) -> None:
    """Type a key."""
    tab.page.fill("#key", key)
    tab.page.press("#key", "Enter")


def sees_numbers_move(tab: Tab) -> None:
    """Watch the rate of requests until it is above nothing, and then until it is another one."""
    shown = "(rate) => Number(document.querySelector(rate)?.textContent) > 0"
    tab.page.wait_for_function(shown, arg=RATE, timeout=COUNTED_MS)
    seen = tab.text(RATE)
    moved = "([rate, seen]) => ![seen, undefined].includes(document.querySelector(rate)?.textContent)"
    tab.page.wait_for_function(moved, arg=[RATE, seen], timeout=COUNTED_MS)


def compares_two_texts(tab: Tab) -> None:
    """The same text twice has a cosine of 1."""
    tab.page.fill("#pair input[name=first]", "a red running shoe")
    tab.page.fill("#pair input[name=second]", "a red running shoe")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector(PAIR)
    assert float(tab.text(PAIR)) > 0.9999
    assert "text-embedding@1.0.0" in tab.text("#pair output")


def finds_a_picture(tab: Tab, url: str, key: str | None = None) -> None:
    """Drop three pictures, and find them in the order in which one request ranks them."""
    page = tab.page
    page.dispatch_event("#drop", "drop", {"dataTransfer": dropped(page, PICTURES)})
    page.locator("#search img >> nth=2").wait_for()
    page.fill("#search input[name=sentence]", SENTENCE)
    page.click("#search button")
    found = page.locator("ol[aria-label='Pictures, best first'] li")
    found.first.wait_for(timeout=WAKES_MS)  # the text tower starts with its first sentence
    best, synthetic = best_first(url, key)
    assert [line.split()[0] for line in found.all_inner_texts()] == best
    assert found.locator(".badge").count() == (len(PICTURES) if synthetic else 0)
    assert ("random weights" in tab.text("#search output")) == synthetic
    assert "By clip-vit-base-patch32" in tab.text("#search-note")


def best_first(url: str, key: str | None) -> tuple[list[str], bool]:
    """The pictures in the order in which one request ranks them, and whether weights are random."""
    body = {"model": "clip-vit-base-patch32", "input": [SENTENCE, *PICTURES.values()]}
    headers = {"authorization": f"Bearer {key}"} if key else {}
    answer = httpx2.post(f"{url}/v1/embeddings", json=body, headers=headers, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-model"] == "image-embedding@1.0.0, clip-text-embedding@1.0.0"
    sentence, *pictures = (np.array(row["embedding"]) for row in answer.json()["data"])
    cosines = dict(zip(PICTURES, (float(picture @ sentence) for picture in pictures), strict=True))
    return sorted(cosines, key=lambda name: -cosines[name]), answer.headers.get("x-model-weights") == "synthetic"
