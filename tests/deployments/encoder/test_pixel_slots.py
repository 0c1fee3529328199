"""Slots between real processes: what is written is what is read, and whoever dies or comes late leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import random
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deployments.contract.call import Queued
from deployments.contract.pixel_places import Place, Segment
from deployments.encoder.decoders import Decoders
from deployments.encoder.pixel_slots import PixelSlots
from deployments.encoder.prepare_pool import PreparePool
from deployments.encoder.preparing import prepare_here, prepare_into
from deployments.encoder.slot_writer import SlotWriter
from models.errors import InputError, UnavailableError
from models.inputs.image import decode
from models.inputs.image_header import ImageLimits
from models.inputs.preparation import Framing
from models.modalities.image import Decode
from tests.deployments.encoder.slot_child import SHAPE

pytestmark = pytest.mark.timeout(60)

PICTURES = Path(__file__).parents[2] / "data" / "pictures"
BYTES = 60  # of a picture of SHAPE


class Child:
    """A process that writes into slots, or owns some."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.deployments.encoder.slot_child"]
        self.process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, do: str, **said: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **said}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def child() -> Iterator[Child]:
    one = Child()
    try:
        yield one
    finally:
        one.kill()


def filled(value: int) -> np.ndarray:
    return np.full(SHAPE, value, np.uint8)


def test_what_another_process_writes_is_read_in_place(child: Child) -> None:
    slots = PixelSlots(3, BYTES)
    places = slots.take(3)
    assert all(child.ask("write", segment=slots.segment, place=place, value=i) for i, place in enumerate(places))
    rows = [slots.pixels(place, SHAPE) for place in places]
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(row, filled(i))
        assert row.base is not None, "pixels are copied"


def test_a_slot_is_free_when_its_pixels_and_all_views_of_them_are_gone() -> None:
    slots = PixelSlots(2, BYTES)
    first, second = (slots.pixels(place, SHAPE) for place in slots.take(2))
    view = np.stack([first, first])[0], first[0, 1:]
    del first
    assert slots.free == 0, "somebody still sees the slot"
    del view
    assert slots.free == 1
    del second
    assert slots.free == 2


def test_of_ten_times_as_many_pictures_as_slots_the_others_get_none() -> None:
    slots = PixelSlots(4, BYTES)
    places = slots.take(40)
    assert sorted(place.slot for place in places) == [0, 1, 2, 3]
    assert slots.take(40) == []
    slots.give_back(places)
    assert len({*slots.take(40), *places}) == 8, "a lease is given twice"


def test_a_decoder_killed_while_it_copies_keeps_no_slot(child: Child) -> None:
    slots, other = PixelSlots(1, BYTES), SlotWriter()
    (lost,) = slots.take(1)
    assert child.ask("hold", segment=slots.segment, place=lost)
    slots.give_back([lost])  # it does not answer
    (place,) = slots.take(1)
    assert not other.write(slots.segment, place, filled(2)), "two write into one slot"
    child.kill()
    assert other.write(slots.segment, place, filled(2))
    np.testing.assert_array_equal(slots.pixels(place, SHAPE), filled(2))


def test_a_decoder_that_comes_late_writes_nothing(child: Child) -> None:
    slots = PixelSlots(1, BYTES)
    (late,) = slots.take(1)
    slots.give_back([late])
    (place,) = slots.take(1)
    assert child.ask("write", segment=slots.segment, place=place, value=1)
    row = slots.pixels(place, SHAPE)
    assert not child.ask("write", segment=slots.segment, place=late, value=2)
    np.testing.assert_array_equal(row, filled(1))


def test_threads_of_one_decoder_keep_out_of_each_others_slots() -> None:
    slots, writer = PixelSlots(1, BYTES), SlotWriter()
    (place,) = slots.take(1)
    assert writer.write(slots.segment, place, filled(1))
    mapped = writer._mapped(slots.segment)
    assert mapped is not None
    assert mapped.lock(place.slot)
    assert not writer.write(slots.segment, place, filled(2))
    mapped.unlock(place.slot)
    assert writer.write(slots.segment, place, filled(2))


def test_nothing_is_left_of_an_encoder_that_was_killed(child: Child) -> None:
    described, place = child.ask("own")
    segment, writer = Segment(*described), SlotWriter()
    assert writer.write(segment, Place(*place), filled(1))
    writer.forget_gone()
    assert len(writer) == 1
    child.kill()
    assert writer.write(segment, Place(*place), filled(2)), "the memory went while somebody has it"
    writer.forget_gone()
    assert len(writer) == 0
    assert segment.name not in Path("/proc/self/maps").read_text()
    assert not writer.write(segment, Place(*place), filled(3))
    assert not any(segment.name in name for name in os.listdir("/dev/shm"))


def test_an_encoder_that_lets_go_of_its_slots_frees_them() -> None:
    slots = PixelSlots(1, BYTES)
    name, fd = slots.segment.name, slots.segment.fd
    row = slots.pixels(slots.take(1)[0], SHAPE)
    del slots
    assert name in Path("/proc/self/maps").read_text()
    row[...] = 1  # still there
    del row
    assert name not in Path("/proc/self/maps").read_text()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_slots_are_for_their_own_user_and_cannot_be_cut_short() -> None:
    slots = PixelSlots(1, BYTES)
    status = os.stat(slots.segment.path)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_uid == os.geteuid()
    for size in (0, 10 * slots.segment.size):
        with pytest.raises(PermissionError):
            os.ftruncate(slots.segment.fd, size)


@pytest.mark.parametrize(
    "change",
    [{"pid": 2**22 + 1}, {"fd": 0}, {"name": "embedserve-pixels-of-another-node"}, {"slots": 10_000}],
    ids=lambda change: next(iter(change)),
)
def test_a_segment_that_is_not_here_is_not_written_to(change: dict[str, Any]) -> None:
    slots, writer = PixelSlots(1, BYTES), SlotWriter()
    (place,) = slots.take(1)
    assert not writer.write(slots.segment._replace(**change), place, filled(1))
    assert not slots.pixels(place, SHAPE).any()


def test_pixels_or_slots_beyond_what_there_is_are_not_written() -> None:
    slots, writer = PixelSlots(1, BYTES), SlotWriter()
    (place,) = slots.take(1)
    assert not writer.write(slots.segment, place, np.ones((5, 5, 3), np.uint8))
    for slot in (-1, 1, 10):
        assert not writer.write(slots.segment, place._replace(slot=slot), filled(1))


def test_many_writers_and_a_slow_reader_never_mix_pictures() -> None:
    slots, writer = PixelSlots(4, BYTES), SlotWriter()
    wrong: list[int] = []

    def work(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(300):
            value, places = draw.randrange(256), slots.take(draw.randint(1, 3))
            if draw.random() < 0.2:
                slots.give_back(places)  # given up; whoever had it comes late
            written = [place for place in places if writer.write(slots.segment, place, filled(value))]
            if draw.random() < 0.2 or len(written) < len(places):
                continue
            rows = [slots.pixels(place, SHAPE) for place in written]
            wrong.extend(value for row in rows if not (row == row.flat[0]).all())

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class Handle:
    """Serve's handle of a decoder that runs here; some of its calls are lost."""

    def __init__(self, pool: PreparePool, writer: SlotWriter | None) -> None:
        self.decode = SimpleNamespace(remote=self._remote)
        self.pool, self.writer = pool, writer
        self.in_slots = 0

    def broadcast(self, *_: Any) -> Any:
        raise UnavailableError("no decoder takes calls but through Serve")

    async def _remote(self, items: Any, prepare: Any, _: Queued, offer: Any = None) -> list[Any]:
        if offer is None or self.writer is None:
            return await prepare_here(self.pool, prepare, items)
        found = await prepare_into(self.pool, prepare, items, self.writer, offer)
        self.in_slots += sum(isinstance(one, int) for one in found)
        return found


@pytest.mark.parametrize("slots", [0, 1, 4, 512])
async def test_pixels_are_the_same_bits_through_slots_and_without_also_ten_times_as_many(slots: int) -> None:
    names = ("333x227.jpg", "l.png", "cmyk.jpg")
    files = [(PICTURES / name).read_bytes() for name in names] + [b"no picture"]
    prepare = Decode(Framing(), ImageLimits())
    with PreparePool(2, "decode") as pool:
        handle = Handle(pool, SlotWriter())
        decoders = Decoders(handle)
        decoders.share(slots, prepare)
        calls = [decoders.prepare(prepare, files, Queued("gateway", 4, 0)) for _ in range(10)]
        answers = await asyncio.gather(*calls)
    wanted = [decode(file) for file in files[:-1]]
    for answer in answers:
        assert isinstance(answer[-1], InputError)
        for row, pixels in zip(answer[:-1], wanted, strict=True):
            np.testing.assert_array_equal(row, pixels)
    assert handle.in_slots == 30 if slots == 512 else min(slots, 1) <= handle.in_slots <= slots
    shared = decoders._slots
    del answers, answer, row
    await asyncio.sleep(0)  # the step of the event loop that brought the answers holds them too
    assert shared is None or shared.free == slots


async def test_decoders_that_cannot_reach_the_slots_send_pixels() -> None:
    file, prepare = (PICTURES / "l.png").read_bytes(), Decode(Framing(), ImageLimits())
    with PreparePool(2, "decode") as pool:
        decoders = Decoders(Handle(pool, None))
        decoders.share(2, prepare)
        for _ in range(3):
            (row,) = await decoders.prepare(prepare, [file], Queued("gateway", 1, 0))
            np.testing.assert_array_equal(row, decode(file))
    assert decoders._slots is not None
    assert decoders._slots.free == 2


async def test_a_row_of_another_shape_than_was_said_is_sent() -> None:
    file = (PICTURES / "l.png").read_bytes()

    class Smaller:
        apart, portable, shape = True, True, (224, 224, 3)

        def quick(self, _: Any) -> bool:
            return False

        def __call__(self, items: Any) -> list[Any]:
            return [decode(item, 32) for item in items]

    with PreparePool(2, "decode") as pool:
        decoders = Decoders(handle := Handle(pool, SlotWriter()))
        decoders.share(2, Smaller())
        (row,) = await decoders.prepare(Smaller(), [file], Queued("gateway", 1, 0))
    np.testing.assert_array_equal(row, decode(file, 32))
    assert handle.in_slots == 0


async def test_a_call_that_is_lost_or_given_up_keeps_no_slot() -> None:
    prepare, began = Decode(Framing(), ImageLimits()), asyncio.Event()

    async def remote(*_: Any) -> list[Any]:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    def broadcast(*_: Any) -> Any:
        raise UnavailableError("no decoder takes calls but through Serve")

    decoders = Decoders(SimpleNamespace(decode=SimpleNamespace(remote=remote), broadcast=broadcast))
    decoders.share(2, prepare)
    call = asyncio.ensure_future(decoders.prepare(prepare, [b"a", b"b"], Queued("gateway", 2, 0)))
    await began.wait()
    assert decoders._slots is not None
    assert decoders._slots.free == 0
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert decoders._slots.free == 2
