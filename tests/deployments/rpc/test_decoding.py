"""Calls to decoders and their replies, as bytes."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from deployments.contract.call import Queued
from deployments.contract.pixel_places import Offer, Place, Segment
from deployments.rpc.codec import REFUSED, Refusal, pack_refusal
from deployments.rpc.decoding import DecodeCall, pack_call, pack_rows, unpack_call, unpack_reply
from models.errors import InputError, LimitError

OFFER = Offer(Segment(7, 8, "a name", 512, 150_528), [Place(3, 9), Place(511, 2**40)])
QUEUED = Queued("gateway", 2, 40, 3, ("00-trace",), "h" * 64, bulk=True)


def body(call: DecodeCall) -> bytes:
    return b"".join(pack_call(call))


@pytest.mark.parametrize("offer", [OFFER, None], ids=["with places", "without"])
@pytest.mark.parametrize("items", [[], [b""], [b"a", b"b" * 100_000]], ids=["nothing", "an empty one", "two"])
def test_a_call_arrives_as_it_was_sent(items: list[Any], offer: Offer | None) -> None:
    call = DecodeCall(items, "the name", QUEUED, offer)
    assert unpack_call(body(call)) == call


def test_a_text_does_not_travel() -> None:
    with pytest.raises(TypeError, match="only pictures"):
        pack_call(DecodeCall(["a text"], "the name", QUEUED))


def test_a_reply_arrives_as_it_was_sent() -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (4, 5, 3), np.uint8)
    slot, row, bad, large = unpack_reply(pack_rows([511, pixels, InputError("a", code="b"), LimitError("c")]))  # type: ignore[misc]
    assert slot == 511
    np.testing.assert_array_equal(row, pixels)
    assert (type(bad), str(bad), bad.code) == (InputError, "a", "b")
    assert (type(large), str(large), large.code) == (LimitError, "c", LimitError("c").code)


def test_a_refusal_arrives_as_one() -> None:
    refusal = Refusal(REFUSED, "stopping")
    assert unpack_reply(pack_refusal(refusal)) == refusal


def test_a_call_that_is_cut_or_changed_is_none_or_another_call_and_nothing_else() -> None:
    whole = body(DecodeCall([b"a" * 50, b"b" * 60], "the name", QUEUED, OFFER))
    drawn = random.Random(5)
    refused = 0
    for _ in range(20_000):
        wrong = bytearray(whole[: drawn.randrange(len(whole) + 1)])
        for _ in range(drawn.randrange(3) if wrong else 0):
            wrong[drawn.randrange(len(wrong))] = drawn.randrange(256)
        try:
            unpack_call(bytes(wrong))
        except (ValueError, TypeError, KeyError):
            refused += 1
    assert refused > 10_000
