from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from bench.loads import pictures, wrk
from bench.loads.bodies import POOL, Body, PictureBody, TextBody
from bench.loads.texts import Texts
from models.inputs.image import decode
from tests.bench.loads.echo import Echo

FIRST = 123_456_789

TEXTS = Texts(tuple(f"w{n}" for n in range(1000)), ("and so on", "and more"))
BODIES: list[Body] = [
    TextBody("/v1", "a@1", TEXTS, 1),
    TextBody("/v1", "a@1", TEXTS, 16),
    PictureBody("/v1", "b@1"),
    PictureBody("/v1", "b@1", as_base64=True, modality=True),
]
IDS = ["one text", "sixteen texts", "raw picture", "base64 picture"]


def test_every_number_has_a_text_of_its_own() -> None:
    assert len(set(TEXTS.batch(999_990, 100_000))) == 100_000


def test_a_vocabulary_gives_texts_of_an_exact_number_of_words(tmp_path: Path) -> None:
    vocabulary = {f"{a}{b}cde": 0 for a in "abcdefghijklmnopqrstuvwxyzabcdefgh" for b in "abcdefghijklmnopqrstuvwxyz"}
    (tmp_path / "t.json").write_text(json.dumps({"model": {"vocab": vocabulary | {f"x{n}": 1 for n in range(9)}}}))
    assert len(Texts.of(tmp_path / "t.json", 13).fillers[0].split()) == 13 - 2 - 4


@pytest.mark.parametrize("number", [0, 7, FIRST])
def test_a_numbered_picture_decodes_to_the_same_pixels(number: int) -> None:
    scene = pictures.scenes()[0]
    assert (decode(scene.raw(number)) == decode(scene.raw(1))).all()
    assert scene.raw(number) != scene.raw(number + 1)


def test_the_base64_form_holds_the_raw_picture() -> None:
    document = json.loads(PictureBody("/v1", "b", as_base64=True).data(FIRST))
    data = base64.b64decode(document["input"][0].partition(",")[2], validate=True)
    assert data == PictureBody("/v1", "b").data(FIRST)


def test_a_cached_load_repeats_its_pool() -> None:
    body = TextBody("/v1", "a", TEXTS, 1, cached=True)
    assert len({body.data(n) for n in range(FIRST, FIRST + 10 * POOL)}) == POOL


@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk")
@pytest.mark.parametrize("body", BODIES, ids=IDS)
async def test_wrk_sends_our_bodies_each_once_and_counts_them_right(body: Body) -> None:
    echo = Echo()
    server, port = await echo.start()
    async with server:
        sample = await asyncio.to_thread(wrk.run, f"http://127.0.0.1:{port}", body, 4, 1, FIRST)
    seen = {hashlib.blake2b(body.data(FIRST + n), digest_size=12).digest() for n in range(1, 20)}
    assert seen <= echo.bodies
    assert len(echo.bodies) == echo.requests
    assert 0 <= echo.requests - sample.requests <= 2 * 4  # those in flight when it stopped
    assert sample.failed == sample.broken == 0
