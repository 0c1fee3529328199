"""Pictures that cost more than they weigh: refused before a pixel is decoded, or ended; those of cameras are not touched."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.errors import InputError, LimitError
from models.inputs import decode_limits
from models.inputs.decode_limits import Memory, TimedFile, memory_of
from models.inputs.image import decode
from models.inputs.image_header import ImageLimits, check_header
from models.inputs.jpeg_scans import PASSES, SCANS, SEGMENTS, scans_of
from tests.faults.hostile.pictures import encoded, scene, tiff

LIMITS = ImageLimits(pixels=1_000_000)


def scanned(scans: int, side: int = 64, between: bytes = b"", **options: Any) -> bytes:
    """A progressive JPEG with more scans than it needs."""
    data = encoded(scene(side, side), "JPEG", progressive=True, **options)
    last = data.rindex(b"\xff\xda")
    more = scans - data.count(b"\xff\xda")
    return data[:-2] + (between + data[last:-2]) * more + b"\xff\xd9"


def in_turn(data: bytes) -> bytes:
    """A baseline JPEG whose first scan says that it has one component of three."""
    at = data.index(b"\xff\xda")
    return data[: at + 4] + b"\x01\x01\x00\x00\x3f\x00" + data[at + 14 :]


@pytest.mark.parametrize("scans", [10, SCANS])
def test_a_jpeg_of_as_many_scans_as_encoders_write_is_decoded(scans: int) -> None:
    data = scanned(scans)
    found = scans_of(data)
    assert found is not None
    assert (found.count, found.width, found.height) == (scans, 64, 64)
    check_header(data, ImageLimits())
    assert decode(data).shape == (224, 224, 3)


HIDDEN: dict[str, Callable[[bytes], bytes]] = {
    "as they are": lambda data: data,
    "behind an end that is in a comment": lambda data: data.replace(
        b"\xff\xda", b"\xff\xfe\x00\x06\xff\xd9AA\xff\xda", 2
    ),
    "behind bytes that belong to nothing": lambda data: data.replace(b"\xff\xda", b"AAAA\xff\xda", 1),
    "behind fill bytes": lambda data: data.replace(b"\xff\xda", b"\xff\xff\xff\xff\xda"),
    "behind restarts that do not belong there": lambda data: data.replace(b"\xff\xda", b"\xff\xd0\xff\xd7\xff\xda"),
}


@pytest.mark.parametrize("times", [1, 10])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_jpeg_of_more_scans_is_refused_before_it_is_decoded(hidden: str, times: int) -> None:
    data = HIDDEN[hidden](scanned(SCANS * times + 1))
    with pytest.raises(LimitError, match=rf"64×64 pixels in more than {SCANS} scans"):
        decode(data)


@pytest.mark.parametrize("times", [1, 10])
def test_scans_of_a_large_jpeg_are_bounded_by_the_pixels_that_they_go_over(times: int) -> None:
    pixels = 64 * 64 * 20 // PASSES
    decode(scanned(20), limits=ImageLimits(pixels=max(pixels, 64 * 64)))
    with pytest.raises(LimitError, match="in 17 scans exceeds the limit of 16 scans"):
        check_header(scanned(17), ImageLimits(pixels=64 * 64))
    with pytest.raises(LimitError, match="exceeds the limit of 16 scans"):
        check_header(scanned(min(17 * times, 90)), ImageLimits(pixels=64 * 64))


def test_scans_of_a_jpeg_that_is_not_progressive_count_too() -> None:
    data = in_turn(encoded(scene(64, 64), "JPEG"))
    scan = data[data.index(b"\xff\xda") : -2]
    with pytest.raises(LimitError, match=f"more than {SCANS} scans"):
        check_header(data[:-2] + scan * SCANS + b"\xff\xd9", LIMITS)


def test_what_follows_a_jpeg_of_one_scan_is_not_looked_at() -> None:
    check_header(encoded(scene(64, 64), "JPEG") + b"\xff\xda\x00\x02" * 1000, LIMITS)
    check_header(scanned(10) + b"\xff\xda\x00\x02" * 1000, LIMITS)


@pytest.mark.parametrize("times", [1, 10])
def test_a_jpeg_of_too_many_segments_is_refused(times: int) -> None:
    data = encoded(scene(64, 64), "JPEG")
    with pytest.raises(LimitError, match=f"more than {SEGMENTS} segments"):
        decode(data[:2] + b"\xff\xfe\x00\x02" * SEGMENTS * times + data[2:])


def tiled(side: int, picture: int = 64) -> bytes:
    """A TIFF whose tiles may be larger than it."""
    size = [(256, 4, 1, picture), (257, 4, 1, picture), (258, 3, 1, 8), (259, 3, 1, 5), (262, 3, 1, 1), (277, 3, 1, 1)]
    return tiff([*size, (322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8), (325, 4, 1, 99)])


@pytest.mark.parametrize("side", [1040, 10_400, 32_768])
def test_a_tiff_in_tiles_far_larger_than_it_is_refused(side: int) -> None:
    with pytest.raises(LimitError, match=f"tiles of {side}×{side}"):
        decode(tiled(side))


def test_a_small_tiff_in_one_tile_is_not_refused_for_it() -> None:
    with pytest.raises(InputError) as caught:
        decode(tiled(1024))  # the tile's data are none
    assert not isinstance(caught.value, LimitError)


def test_a_decoding_that_takes_more_memory_than_there_may_be_is_refused_and_says_how_much() -> None:
    data = encoded(scene(1000, 1000, "RGBA"), "PNG")
    assert decode(data, limits=ImageLimits(memory=16 << 20)).shape == (224, 224, 3)
    with pytest.raises(LimitError, match=r"takes 8 MiB, the limit is 4 MiB"):
        decode(data, limits=ImageLimits(memory=4 << 20))


def test_a_webp_is_charged_before_it_is_opened() -> None:
    with pytest.raises(LimitError, match="takes 22 MiB, the limit is 20 MiB"):
        decode(encoded(scene(1000, 1000), "WEBP"), limits=ImageLimits(memory=20 << 20))


def test_decodings_of_a_process_share_its_memory() -> None:
    memory, order, together = Memory(), [], threading.Event()
    first_has_it, may_end = threading.Event(), threading.Event()

    def first() -> None:
        with memory.taking(70, 100):
            first_has_it.set()
            may_end.wait()
            order.append("first")

    def second() -> None:
        first_has_it.wait()
        with memory.taking(40, 100):
            order.append("second")

    def third() -> None:
        first_has_it.wait()
        with memory.taking(30, 100):
            together.set()

    threads = [threading.Thread(target=work) for work in (first, second, third)]
    for thread in threads:
        thread.start()
    assert together.wait(10)
    may_end.set()
    for thread in threads:
        thread.join(10)
    assert order == ["first", "second"]


def test_a_decoding_that_takes_too_long_ends() -> None:
    data = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (900, 900, 3), np.uint8)), "JPEG")
    with pytest.raises(LimitError, match=r"longer than the limit of 1e-06 s") as caught:
        decode(data, limits=ImageLimits(seconds=1e-6))
    assert caught.value.code == "too_slow"


def test_a_file_of_more_pieces_than_a_parser_should_read_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_limits, "READS", 100)
    file = TimedFile(b"x" * 10_000, 10)
    for _ in range(100):
        file.read(1)
    with pytest.raises(LimitError, match="more than 100 pieces"):
        file.read(1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16", "LA"])
def test_what_is_charged_for_a_picture_is_what_pillow_takes_for_its_pixels(mode: str) -> None:
    with Image.open(io.BytesIO(encoded(scene(300, 200, mode), "PNG"))) as image:
        charged = memory_of(image)
        image.load()
        stored = len(image.tobytes()) if image.mode != "1" else 60_000
        assert 60_000 * 4 + stored <= charged <= 60_000 * 8
