"""An encoder's calls to its decoders over connections of their own, beside Serve's handle."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.apps.decoder import PREPARATIONS, Decoder
from deployments.contract.call import Queued
from deployments.encoder import decoders
from deployments.encoder.decoders import FEWEST, MOST, Decoders, group_size
from deployments.rpc.server import CALLS, HOST_VARIABLE
from models.errors import InputError, LimitError, UnavailableError
from models.inputs.image import decode
from models.inputs.image_header import ImageLimits
from models.inputs.preparation import Framing
from models.modalities.image import Decode

PICTURES = Path(__file__).parents[2] / "data" / "pictures"
FILES = [(PICTURES / name).read_bytes() for name in ("333x227.jpg", "l.png", "cmyk.jpg")]
PREPARE = Decode(Framing(), ImageLimits())
QUEUED = Queued("gateway", len(FILES), 0)


class Fleet:
    """Decoders on this event loop, and Serve's handle of them: a broadcast that asks each, and calls that reach one."""

    def __init__(self, count: int) -> None:
        self.decoders: list[Any] = [Decoder.func_or_class(threads=2) for _ in range(count)]  # type: ignore[attr-defined]
        self.ways: Counter[str] = Counter()
        self.decode = self
        self.silent = False

    def broadcast(self, method: str, name: str, prepare: Decode) -> Any:
        assert method == "endpoint"
        if self.silent:
            raise UnavailableError("nobody answers")
        return _Answers([self._endpoint(number, name, prepare) for number in range(len(self.decoders))])

    async def _endpoint(self, number: int, name: str, prepare: Decode) -> Any:
        self.decoders[number].learn(name, prepare)
        return f"decoder {number}", await self.decoders[number]._rpc.start()

    async def remote(self, *arguments: Any) -> Any:
        return await self.decoders[0].decode(*arguments)

    def encoder(self, slots: int = 0) -> Decoders:
        """As an encoder sees them."""
        seen = Decoders(self, lambda way: self.ways.update([way]))
        seen.share(slots, PREPARE)
        return seen

    async def connected(self, seen: Decoders, prepare: Decode = PREPARE) -> None:
        """Ask until calls go directly."""
        self.ways.clear()
        async with asyncio.timeout(30):
            while not self.ways["connection"]:
                await seen.prepare(prepare, FILES[:1], QUEUED)
        self.ways.clear()


class _Answers:
    def __init__(self, answers: list[Any]) -> None:
        self._answers = answers

    async def results_async(self, **_: Any) -> list[Any]:
        return await asyncio.gather(*self._answers)


@pytest.fixture
async def fleet(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    monkeypatch.setenv(HOST_VARIABLE, "127.0.0.1")
    made = Fleet(2)
    yield made
    for one in made.decoders:
        await one._rpc.close()


def same(rows: list[Any], margin: int = 0) -> None:
    for row, file in zip(rows, FILES, strict=True):
        np.testing.assert_array_equal(row, decode(file, shrink_margin=margin))


@pytest.mark.parametrize("slots", [0, 512], ids=["pixels are sent", "pixels lie in slots"])
async def test_pictures_that_lie_in_a_gateways_call_become_the_same_pixels_over_a_connection(
    fleet: Fleet, slots: int
) -> None:
    seen = fleet.encoder(slots)
    await fleet.connected(seen)
    call = memoryview(b"".join([*FILES, b"no picture"]))
    ends = np.cumsum([len(file) for file in FILES])
    views = [call[end - len(file) : end] for end, file in zip(ends, FILES, strict=True)]
    *rows, bad = await seen.prepare(PREPARE, [*views, call[ends[-1] :]], QUEUED)
    assert fleet.ways.keys() == {"connection"}
    assert isinstance(bad, InputError)
    assert (str(bad), bad.code) == (str(PREPARE([b"no picture"])[0]), "invalid_image")
    same(rows)
    assert (seen._slots is not None and seen._slots.free < slots) is (slots > 0)


async def test_a_text_among_the_pictures_fails_alone(fleet: Fleet) -> None:
    seen = fleet.encoder()
    await fleet.connected(seen)
    *rows, bad = await seen.prepare(PREPARE, [*FILES, "a text"], QUEUED)
    assert isinstance(bad, InputError)
    assert bad.code == "wrong_modality"
    same(rows)


async def test_calls_go_through_serve_until_decoders_know_the_new_preparation_of_a_swap(fleet: Fleet) -> None:
    seen = fleet.encoder(512)
    await fleet.connected(seen)
    shrinking = Decode(Framing(), ImageLimits(), shrink_margin=2)
    fleet.silent = True
    seen.share(512, shrinking)
    same(await seen.prepare(shrinking, FILES, QUEUED), margin=2)
    same(await seen.prepare(PREPARE, FILES, QUEUED))  # a call from before the swap
    assert fleet.ways.keys() == {"serve"}
    fleet.silent = False
    await fleet.connected(seen, shrinking)
    same(await seen.prepare(shrinking, FILES, QUEUED), margin=2)
    assert fleet.ways.keys() == {"connection"}


async def test_a_call_that_a_decoder_loses_goes_to_another(fleet: Fleet) -> None:
    seen = fleet.encoder()
    await fleet.connected(seen)
    lost: list[Any] = []

    async def lose(*_: Any) -> list[Any]:
        lost.append(None)
        for connection in list(fleet.decoders[1]._rpc._connections):
            connection.transport.abort()
        raise UnavailableError("nobody hears this any more")

    fleet.decoders[1]._rpc._decode = lose
    async with asyncio.timeout(60):
        while not lost:
            same(await seen.prepare(PREPARE, FILES, QUEUED))


async def test_decoders_that_forgot_a_preparation_decode_all_the_same(fleet: Fleet) -> None:
    seen = fleet.encoder()
    await fleet.connected(seen)
    fleet.silent = True
    for one in fleet.decoders:
        for number in range(PREPARATIONS):
            one.learn(f"another encoder's {number}", PREPARE)
    same(await seen.prepare(PREPARE, FILES, QUEUED))
    assert fleet.ways["serve"]


async def test_ten_times_as_many_calls_as_an_encoder_would_take_are_all_decoded(fleet: Fleet) -> None:
    seen = fleet.encoder(16)
    await fleet.connected(seen)
    answers = await asyncio.gather(*(seen.prepare(PREPARE, FILES[1:2], QUEUED) for _ in range(10 * CALLS)))
    assert fleet.ways == {"connection": 10 * CALLS}
    wanted = decode(FILES[1])
    for (row,) in answers:
        np.testing.assert_array_equal(row, wanted)


class HangsAt:
    """Decodes, and hangs at one picture until it is let go."""

    portable = apart = True
    shape = PREPARE.shape

    def __init__(self, picture: bytes) -> None:
        self._picture, self.go = picture, threading.Event()

    def quick(self, _: Sequence[Any]) -> bool:
        return False

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        if bytes(items[0]) == self._picture:
            self.go.wait(60)
        return PREPARE(items)


async def test_a_picture_that_hangs_takes_none_of_its_call_along(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry = 20  # times as fast as both limits really are
    monkeypatch.setattr(decoders, "TIMEOUT_S", decoders.TIMEOUT_S / hurry)
    for one in fleet.decoders:
        one._threads._stuck_s /= hurry
    hanging: Any = HangsAt(FILES[0])
    seen = fleet.encoder()
    seen.share(0, hanging)
    try:
        async with asyncio.timeout(30):
            while not fleet.ways["connection"]:
                await seen.prepare(hanging, FILES[1:2], QUEUED)
        bad, *rows = await seen.prepare(hanging, FILES, QUEUED)
    finally:
        hanging.go.set()
    assert isinstance(bad, LimitError)
    assert bad.code == "too_slow"
    for row, file in zip(rows, FILES[1:], strict=True):
        np.testing.assert_array_equal(row, decode(file))


@pytest.mark.parametrize(
    ("items", "idle", "size"),
    [(1, 8, FEWEST), (32, 8, 4), (128, 200, FEWEST), (128, 1, MOST), (128, 0, MOST), (3, 0, MOST)],
)
def test_calls_are_small_while_decoders_are_idle(items: int, idle: int, size: int) -> None:
    assert group_size(items, idle) == size
