"""Items become rows, in order, each failing alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deployments.contract.call import Queued
from deployments.contract.items import Item
from deployments.encoder.decoders import part_of
from deployments.encoder.prepare_pool import PreparePool
from deployments.encoder.preparing import prepare_here
from models.errors import InputError
from models.inputs.image import decode
from models.inputs.image_header import ImageLimits
from models.inputs.preparation import Framing
from models.modalities.image import Decode
from models.modalities.tokenise import QUICK_CHARACTERS
from tests.models.loading import embedder_of

PICTURES = Path(__file__).parents[2] / "data" / "pictures"
TEXT = "text-embedding@1.1.0"


@pytest.fixture
def threads() -> Iterator[PreparePool]:
    with PreparePool(2, "prepare") as pool:
        yield pool


async def test_pictures_keep_their_order_and_one_that_is_damaged_fails_alone(threads: PreparePool) -> None:
    files = [(PICTURES / name).read_bytes() for name in ("333x227.jpg", "l.png", "cmyk.jpg")]
    first, bad, *others = await prepare_here(
        threads, Decode(Framing(), ImageLimits()), [files[0], b"no picture", *files[1:]]
    )
    assert isinstance(bad, InputError)
    assert bad.code == "invalid_image"
    for row, file in zip([first, *others], files, strict=True):
        assert isinstance(row, np.ndarray)
        np.testing.assert_array_equal(row, decode(file))


async def test_pictures_that_lie_in_their_call_become_the_same_pixels(threads: PreparePool) -> None:
    file = (PICTURES / "333x227.jpg").read_bytes()
    call = memoryview(b"before" + file + b"behind" + file)
    views: list[Item] = [call[6 : 6 + len(file)], call[-len(file) :], call[:6]]
    first, second, bad = await prepare_here(threads, Decode(Framing(), ImageLimits()), views)
    assert isinstance(bad, InputError)
    for row in (first, second):
        assert isinstance(row, np.ndarray)
        np.testing.assert_array_equal(row, decode(file))


@pytest.mark.parametrize("length", [2, QUICK_CHARACTERS], ids=["short, on the event loop", "long, in a thread"])
async def test_texts_and_token_ids_keep_their_order(threads: PreparePool, length: int) -> None:
    prepare = embedder_of(TEXT).preparation()
    items: list[Item] = ["a " * length, (7592, 2088), (10**9,), "hello world"]
    text, ids, bad, last = await prepare_here(threads, prepare, items)
    assert isinstance(bad, InputError)
    assert bad.code == "token_out_of_vocabulary"
    for row, item in ((text, items[0]), (last, items[3])):
        np.testing.assert_array_equal(row, prepare([item])[0])
    np.testing.assert_array_equal(ids, last)


def test_decoders_hear_of_a_refusal_once_and_each_of_its_own_items() -> None:
    queued = Queued("gateway", 5, 40, refused=3, trace=("00-1-2-01",))
    parts = [part_of(queued, items, first=number == 0) for number, items in enumerate((2, 2, 1))]
    assert sum(part.cost for part in parts) == queued.cost
    assert sum(part.refused for part in parts) == queued.refused
    assert {part.waiting for part in parts} == {queued.waiting}
