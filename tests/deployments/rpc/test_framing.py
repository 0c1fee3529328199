"""Frames come out as they were sent, however the system cuts them."""

from __future__ import annotations

import random

import pytest

from deployments.contract.call import Queued
from deployments.rpc.codec import PART, EncodeCall, pack_call, unpack_call
from deployments.rpc.framing import HEADER, ROOM, Frames

LIMIT = 10 * ROOM
EDGES = (0, 1, ROOM - HEADER.size - 1, ROOM - HEADER.size, ROOM - HEADER.size + 1, ROOM, ROOM + 1, LIMIT)


class Received(Frames):
    """Keeps what arrives; ends where it is told to."""

    def __init__(self, last: int | None = None) -> None:
        super().__init__(LIMIT)
        self.frames: list[tuple[int, bytes]] = []
        self.last = last

    def frame_received(self, number: int, body: bytes | memoryview) -> None:
        self.frames.append((number, bytes(body)))
        if number == self.last:
            self.close()

    def read(self, data: bytes, most: int) -> None:
        """Take bytes as a transport hands them over, up to ``most`` at once."""
        at = 0
        while at < len(data):
            room = self.get_buffer(-1)
            assert len(room), "a transport ends a connection whose buffer has no room"
            part = data[at : at + min(len(room), most)]
            room[: len(part)] = part
            self.buffer_updated(len(part))
            at += len(part)


def frames_of(sizes: list[int]) -> list[tuple[int, bytes]]:
    return [(number, random.Random(number).randbytes(size)) for number, size in enumerate(sizes)]


def sent(frames: list[tuple[int, bytes]]) -> bytes:
    return b"".join(HEADER.pack(len(body), number) + body for number, body in frames)


@pytest.mark.parametrize("most", [7, 1000, ROOM - 1, ROOM, LIMIT])
def test_frames_of_all_lengths_arrive_as_they_were_sent_however_they_are_cut(most: int) -> None:
    small = [size for size in EDGES if most >= 1000 or size < 1000]
    frames = frames_of([size for size in small for _ in range(3)] + [5] * 50)
    received = Received()
    received.read(sent(frames), most)
    assert received.frames == frames


def test_random_frames_arrive_as_they_were_sent() -> None:
    draw = random.Random(7)
    for _ in range(20):
        frames = frames_of([draw.choice((draw.randint(0, 300), draw.randint(0, 2 * ROOM))) for _ in range(20)])
        received = Received()
        received.read(sent(frames), draw.randint(100, 3 * ROOM))
        assert received.frames == frames


@pytest.mark.parametrize("size", [LIMIT + 1, 10 * LIMIT, 2**32 - 1])
def test_a_frame_above_the_limit_is_not_waited_for_nor_is_what_follows(size: int) -> None:
    received = Received()
    received.read(sent([(1, b"good")]) + HEADER.pack(size, 2), ROOM)
    received.read(sent([(3, b"late")]), ROOM)
    assert received.frames[0] == (1, b"good")
    assert 2 not in dict(received.frames)


def test_nothing_is_taken_behind_the_frame_that_ended_the_connection() -> None:
    received = Received(last=2)
    received.read(sent([(1, b"a"), (2, b"b"), (3, b"c")]), ROOM)
    assert received.frames == [(1, b"a"), (2, b"b")]


@pytest.mark.parametrize("sizes", [[1], [PART - 1, PART, PART + 1], [70_000] * 3, [0, 200_000, 10]])
def test_a_call_with_pictures_is_what_it_was_and_long_ones_travel_without_being_copied(sizes: list[int]) -> None:
    pictures = [random.Random(size).randbytes(size) for size in sizes]
    call = EncodeCall(list(pictures), Queued("gateway", 3, 4, 5, ("00-trace",), "h" * 64, bulk=True))
    parts = pack_call(call)
    assert unpack_call(memoryview(bytearray(b"".join(parts)))) == call
    long = [picture for picture in pictures if len(picture) >= PART]
    assert all(any(part is picture for part in parts) for picture in long)


def test_long_pictures_lie_where_their_call_arrived() -> None:
    call = EncodeCall([b"a" * PART, b"b" * 70_000], Queued("gateway", 2, 0))
    arrived = memoryview(bytearray(b"".join(pack_call(call))))
    unpacked = unpack_call(arrived)
    assert isinstance(unpacked, EncodeCall)
    assert unpacked == call
    assert [item.obj for item in unpacked.items if isinstance(item, memoryview)] == [arrived.obj] * 2


@pytest.mark.parametrize("cut", [1, 5, 8, 12, PART, PART + 20, 2 * PART + 30])
def test_a_call_of_pictures_that_ends_early_or_counts_wrong_is_no_call(cut: int) -> None:
    body = b"".join(pack_call(EncodeCall([b"a" * PART] * 2, Queued("gateway", 2, 0))))
    for wrong in (body[:cut], body[:3] + b"\xff\xff\xff\xff" + body[7:], body[:8] + b"\xff" + body[9:]):
        with pytest.raises((ValueError, TypeError)):
            unpack_call(memoryview(wrong))
