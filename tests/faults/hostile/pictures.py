"""Pictures that are damaged, that lie about their size, that unpack into gigabytes, or that are no pictures."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from tests.data.png import chunk
from tests.faults.hostile.case import EITHER, REFUSED, SERVED, Case
from tests.faults.wire import request

PATH = "/v1/embeddings/image"
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MODES = {
    "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("1", "L", "P"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16", "I", "F"),
}
ORIENTATION = 0x0112
FOREIGN = {
    "a PostScript program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(%pipe%id) (r) file\n%%EOF\n",
    "a PDF": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n%%EOF",
    "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "XML with entities": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    "a web page": b"<!doctype html><script>alert(1)</script>",
    "a zip archive": b"PK\x03\x04" + b"\0" * 200,
    "a program": b"\x7fELF\x02\x01\x01" + b"\0" * 200,
    "a pickle": b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "a Photoshop file": b"8BPS\0\x01" + b"\0" * 200,
    "an icon": b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0" + b"\0" * 200,
    "a PPM": b"P6 4000000000 4000000000 255\n" + b"\0" * 100,
    "an ImageMagick script": b"push graphic-context\nfill 'url(https://127.0.0.1/)'\npop graphic-context",
    "a video": b"\0\0\0\x18ftypmp42" + b"\0" * 200,
    "a HEIF": b"\0\0\0\x18ftypheic" + b"\0" * 200,
    "a FITS file": b"SIMPLE  =                    T" + b" " * 2850,
    "text": b"not a picture at all",
    "one byte": b"\xff",
    "NULs": b"\0" * 10_000,
}
BASE64 = {
    "a character outside the alphabet": "iVBORw0KGgo*",
    "padding in the middle": "iVBO=Rw0KGgo=",
    "one character": "i",
    "only padding": "====",
    "line breaks": "iVBORw0K\nGgoAAAAN",
    "the alphabet of URLs": "_-_-_-_-",
    "letters beyond ASCII": "iVBORw0ÄÖÜß",
    "a data URI without data": "data:image/png;base64,",
    "a data URI without a comma": "data:image/png;base64",
    "a data URI that is not base64": "data:image/png,AAAA",
    "a data URI of text": "data:text/html;base64,PGI+",
    "a data URI of nothing": "data:",
    "a data URI in a data URI": "data:image/png;base64,data:image/png;base64,AAAA",
    "a file's URL": "file:///etc/passwd",
    "a URL where fetching is off": "http://127.0.0.1/picture.png",
    "an FTP URL": "ftp://127.0.0.1/picture.png",
}


def scene(width: int = 96, height: int = 80, mode: str = "RGB") -> Image.Image:
    """A picture with structure."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 255 // width, y * 255 // height, (x * y) % 256], axis=-1).astype(np.uint8)
    picture = Image.fromarray(rgb)
    if mode == "I;16":
        return Image.fromarray(rgb[..., 0].astype(np.uint16) * 257)
    if mode == "LAB":
        return Image.merge("LAB", picture.split())
    return picture.convert(mode) if mode != "LA" else picture.convert("L").convert("LA")


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def sent(data: bytes, kind: str = "image/png", query: str = "") -> bytes:
    """A request with a picture as its body."""
    return request(data, PATH + query, [("content-type", kind)])


def cases() -> Iterator[Case]:
    """All of them."""
    for name, data, statuses in _files():
        yield Case(name, (sent(data, "application/octet-stream"),), statuses)
    for name, data in [*FOREIGN.items(), *((f"{k}, cut in half", _cut(k, 0.5)) for k in FORMATS)]:
        body = {"model": "image-embedding", "input": base64.b64encode(data).decode()}
        yield Case.json(f"{name}, as base64", json.dumps(body).encode())
    for name, text in BASE64.items():
        yield Case.json(name, json.dumps({"model": "image-embedding", "input": text}).encode())
        pair = {"model": "image-embedding", "input": [base64.b64encode(encoded(scene(), "PNG")).decode(), text]}
        yield Case.json(f"{name}, beside a good picture", json.dumps(pair).encode())
    yield from _queries()
    yield from _multipart()


def _files() -> Iterator[tuple[str, bytes, frozenset[int]]]:
    for name, data in FOREIGN.items():
        yield name, data, REFUSED
    yield "nothing", b"", REFUSED
    for kind in FORMATS:
        yield from _damaged(kind)
        for mode in MODES[kind]:
            yield f"a {kind} of mode {mode}", encoded(scene(mode=mode), kind), SERVED
        yield f"a {kind} of one pixel", encoded(scene(1, 1), kind), SERVED
        yield f"a {kind} one pixel wide and 20,000 high", encoded(scene(1, 16_000), kind), REFUSED
    yield from _exif()
    yield from _bombs()


def _damaged(kind: str) -> Iterator[tuple[str, bytes, frozenset[int]]]:
    data = encoded(scene(), kind)
    middle = len(data) // 2
    yield f"a {kind}, its first 4 bytes", data[:4], REFUSED
    yield f"a {kind}, its first 20 bytes", data[:20], REFUSED
    yield f"a {kind}, cut in half", _cut(kind, 0.5), REFUSED
    yield f"a {kind} without its last tenth", _cut(kind, 0.9), EITHER
    yield f"a {kind} without its last byte", data[:-1], EITHER
    yield f"a {kind} with NULs in its middle", data[: middle - 50] + b"\0" * 100 + data[middle + 50 :], EITHER
    yield f"a {kind} with all ones in its middle", data[: middle - 50] + b"\xff" * 100 + data[middle + 50 :], EITHER
    yield f"a {kind} backwards", data[::-1], REFUSED
    yield f"a {kind} twice", data * 2, EITHER
    yield f"a {kind} after a byte", b"\0" + data, REFUSED
    yield f"a {kind} with a zip archive behind it", data + b"PK\x03\x04" * 100, EITHER
    yield f"the start of a {kind} and noise", data[:16] + bytes((i * 89) % 256 for i in range(3000)), EITHER
    yield f"a {kind} whose header says ones", data[:12] + b"\xff" * 12 + data[24:], EITHER
    yield f"a {kind} whose header says NULs", data[:12] + b"\0" * 12 + data[24:], EITHER


def _cut(kind: str, part: float) -> bytes:
    data = encoded(scene(), kind)
    return data[: int(len(data) * part)]


def _exif() -> Iterator[tuple[str, bytes, frozenset[int]]]:
    kinds = {"0": (3, 0), "9": (3, 9), "65535": (3, 65535), "a word": (2, 0x7466656C), "6": (3, 6), "a float": (11, 6)}
    for name, (kind_of_value, value) in kinds.items():
        entry = struct.pack("<HHHII", 1, ORIENTATION, kind_of_value, 1 if kind_of_value != 2 else 4, value)
        blob = b"Exif\0\0II*\0\x08\0\0\0" + entry + b"\0\0\0\0"
        for kind in ("JPEG", "PNG", "WEBP"):
            yield f"a {kind} whose orientation is {name}", encoded(scene(), kind, exif=blob), EITHER
    for name, blob in {
        "noise": bytes((i * 41) % 256 for i in range(2000)),
        "only a head": b"Exif\0\0",
        "a directory of 65,535 entries": b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01" * 30_000,
        "a directory that points at itself": b"Exif\0\0II*\0\x08\0\0\0\x00\x00\x08\0\0\0",
        "an offset beyond the file": b"Exif\0\0II*\0\xff\xff\xff\xff",
    }.items():
        for kind in ("JPEG", "PNG", "WEBP"):
            yield f"a {kind} whose EXIF is {name}", encoded(scene(), kind, exif=blob[:65_000]), EITHER


def png(width: int, height: int, chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG whose header says what it likes."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunks + chunk(b"IEND", b"")


def _bombs() -> Iterator[tuple[str, bytes, frozenset[int]]]:
    packed = zlib.compress(b"\0" * 20_000_000, 9)
    huge = zlib.compress(b"\0" * 2_000_000, 9)
    yield "a PNG of 2^31 by 2^31 pixels", png(2**31 - 1, 2**31 - 1, b""), REFUSED
    yield "a PNG of 2^32 by 2^32 pixels", png(2**32 - 1, 2**32 - 1, b""), REFUSED
    yield "a PNG of no pixels", png(0, 0, b""), REFUSED
    yield "a PNG of 30,000 by 30,000 pixels, packed small", png(30_000, 30_000, chunk(b"IDAT", packed), 1, 0), REFUSED
    yield "a PNG of 10 by 10 pixels that unpacks into megabytes", png(10, 10, chunk(b"IDAT", packed)), EITHER
    yield "a PNG whose text unpacks into megabytes", png(9, 9, chunk(b"zTXt", b"a\0\0" + packed)), REFUSED
    yield "a PNG with a thousand packed texts", png(9, 9, chunk(b"zTXt", b"a\0\0" + huge) * 100), REFUSED
    yield "a PNG whose colour profile is a bomb", png(9, 9, chunk(b"iCCP", b"a\0\0" + packed)), REFUSED
    yield "a PNG of 5,000 empty chunks", png(9, 9, chunk(b"IDAT", b"") * 5000), REFUSED
    yield "a PNG with a wrong checksum", png(9, 9, b"\0\0\0\x01IDATx\0\0\0\0"), REFUSED
    yield "a PNG whose chunk says 4 GB", png(9, 9, b"\xff\xff\xff\xffIDATx"), REFUSED
    yield "a PNG with an unknown colour type", png(9, 9, chunk(b"IDAT", huge), 8, 7), REFUSED
    yield "a PNG with an unknown depth", png(9, 9, chunk(b"IDAT", huge), 33), REFUSED
    yield "an animated PNG of 2^31 frames", png(9, 9, chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))), REFUSED
    text = PngImagePlugin.PngInfo()
    text.add_text("k", "v" * 100_000)
    yield "a PNG with much text", encoded(scene(), "PNG", pnginfo=text), EITHER
    gif = encoded(scene(16, 16), "GIF")
    yield "a GIF of 65,535 by 65,535 pixels", gif[:6] + b"\xff" * 4 + gif[10:], REFUSED
    at = gif.index(b",")
    big = gif[: at + 5] + b"\xff\xff\xff\xff" + gif[at + 9 :]
    yield "a GIF whose frame is larger than its screen", big, EITHER
    frames = [scene(64, 64, "P")] * 200
    yield "a GIF of 200 frames", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), SERVED
    yield "a WebP of 200 frames", encoded(scene(8, 8), "WEBP", save_all=True, append_images=[scene(8, 8)] * 199), SERVED
    webp = encoded(scene(16, 16), "WEBP", lossless=True)
    at = webp.index(b"VP8L") + 9
    yield "a WebP of 16,384 by 16,384 pixels", webp[:at] + b"\xff\xff\xff\x0f" + webp[at + 4 :], REFUSED
    vp8x = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\xff" * 6
    yield "an extended WebP of 2^24 by 2^24 pixels", b"RIFF" + struct.pack("<I", 100) + b"WEBP" + vp8x, REFUSED
    yield "a WebP of 16,383 pixels of one colour each way", encoded(Image.new("RGB", (16_383, 3100)), "WEBP"), REFUSED
    jpeg = encoded(scene(16, 16), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    yield "a JPEG of 65,535 by 65,535 pixels", jpeg[:at] + b"\xff\xff\xff\xff" + jpeg[at + 4 :], REFUSED
    yield "a JPEG of no height", jpeg[:at] + b"\0\0" + jpeg[at + 2 :], REFUSED
    yield "a JPEG of 2,000 comments", jpeg[:2] + b"\xff\xfe\x01\x00" * 1 + b"c" * 254 + jpeg[2:], EITHER
    progressive = encoded(scene(), "JPEG", progressive=True)
    at = progressive.index(b"\xff\xda")
    yield "a JPEG with a thousand scans", progressive[:-2] + progressive[at:-2] * 200 + b"\xff\xd9", EITHER
    yield "a BMP of 2^31 by 2^31 pixels", _bmp(2**31 - 1, 2**31 - 1), REFUSED
    yield "a BMP of negative width", _bmp(-100, 100), REFUSED
    yield "a BMP of no height", _bmp(100, 0), REFUSED
    yield from _tiffs()


def _bmp(width: int, height: int) -> bytes:
    return (
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 1000, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0) + b"\0" * 99
    )


def _tiffs() -> Iterator[tuple[str, bytes, frozenset[int]]]:
    """Headers of a directory: (tag, type, count, value)."""
    size = [(256, 4, 1, 64), (257, 4, 1, 64)]
    grey = [(258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
    strip = [(273, 4, 1, 8), (278, 4, 1, 64), (279, 4, 1, 4096)]
    plain = [(259, 3, 1, 1)]
    wrong: dict[str, list[tuple[int, int, int, int]]] = {
        "of 2^32 by 2^32 pixels": [(256, 4, 1, 2**32 - 1), (257, 4, 1, 2**32 - 1), *grey, *plain, *strip],
        "of no pixels": [(256, 4, 1, 0), (257, 4, 1, 0), *grey, *plain, *strip],
        "without a size": [*grey, *plain, *strip],
        "whose strip lies beyond the file": [*size, *grey, *plain, (273, 4, 1, 2**31), (278, 4, 1, 64), (279, 4, 1, 9)],
        "with 2^30 strips": [*size, *grey, *plain, (273, 4, 2**30, 8), (278, 4, 1, 1), (279, 4, 2**30, 8)],
        "with 65,535 samples": [*size, (258, 3, 65_535, 8), (262, 3, 1, 1), (277, 3, 1, 65_535), *plain, *strip],
        "with an unknown compression": [*size, *grey, (259, 3, 1, 60_000), *strip],
        "packed as fax without a fax": [*size, (258, 3, 1, 1), (259, 3, 1, 4), (262, 3, 1, 0), (277, 3, 1, 1), *strip],
        "packed as LZW without it": [*size, *grey, (259, 3, 1, 5), *strip],
        "packed as JPEG without it": [*size, *grey, (259, 3, 1, 7), *strip],
        "packed as deflate without it": [*size, *grey, (259, 3, 1, 8), *strip],
        "of tiles as large as the world": [
            *size,
            *grey,
            (259, 3, 1, 5),
            (322, 4, 1, 2**31 - 16),
            (323, 4, 1, 2**31 - 16),
            (324, 4, 1, 8),
            (325, 4, 1, 99),
        ],
    }
    for name, tags in wrong.items():
        yield f"a TIFF {name}", tiff(tags), REFUSED
    loop = tiff([*size, *grey, *plain, *strip], following=8)
    yield "a TIFF whose directories never end", loop, EITHER
    yield "a TIFF whose directory lies beyond the file", b"II*\0\xff\xff\xff\x7f", REFUSED
    pages = encoded(scene(8, 8), "TIFF", save_all=True, append_images=[scene(8, 8)] * 300)
    yield "a TIFF of 300 pages", pages, SERVED
    white = encoded(Image.new("1", (20_000, 20_000)), "TIFF", compression="group4")
    yield "a TIFF of 20,000 by 20,000 white pixels in few bytes", white, REFUSED
    yield "a TIFF of 7,000 by 7,000 white pixels in few bytes", _white(7000), SERVED


def _white(side: int) -> bytes:
    return encoded(Image.new("1", (side, side), 1), "TIFF", compression="group4")


def tiff(tags: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    """A little-endian TIFF of one directory."""
    rows = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + rows + struct.pack("<I", following) + b"\0" * 500


def _queries() -> Iterator[Case]:
    data = encoded(scene(), "PNG")
    wrong = (
        "dimensions=0", "dimensions=-1", "dimensions=1.5", "dimensions=999999999999999999999", "dimensions=",
        "dimensions=513", "dimensions=%00", "dimensions=%D9%A3", "encoding_format=hex", "encoding_format=",
        "model=nothing", "model=", "model=text-embedding", "model=image-embedding@9", "model=%FF%FE", "model=../../etc",
        "model=" + "x" * 4000,
    )  # fmt: skip
    for query in wrong:
        yield Case(f"a picture with the query {query[:40]}", (sent(data, query="?" + query),))
    for query in ("dimensions=8&dimensions=9", "=&&&=", "a" * 3000, "model=image-embedding&x=%zz"):
        yield Case(f"a picture with the odd query {query[:40]}", (sent(data, query="?" + query),), EITHER)


def _multipart() -> Iterator[Case]:
    data = encoded(scene(), "PNG")
    part = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
    good = part + data + b"\r\n"
    wrong = {
        "nothing": b"",
        "no end": good,
        "no parts": b"--b--\r\n",
        "another boundary": good.replace(b"--b", b"--c") + b"--c--\r\n",
        "a part without a name": b"--b\r\n\r\nx\r\n--b--\r\n",
        "a part of another name": good.replace(b'"file"', b'"other"') + b"--b--\r\n",
        "an empty file": part + b"\r\n--b--\r\n",
        "a text instead of a file": b'--b\r\ncontent-disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n',
        "a thousand and one files": (part + b"x\r\n") * 1001 + b"--b--\r\n",
        "a header of a megabyte": b"--b\r\nx: " + b"y" * 1_000_000 + b"\r\n\r\n\r\n--b--\r\n",
        "a header line without a colon": b"--b\r\nnonsense\r\n\r\nx\r\n--b--\r\n",
        "a file name that is a path": good.replace(b'"a"', b'"../../../etc/passwd"').replace(data, b"x") + b"--b--\r\n",
        "a bad picture among good ones": good + part + b"bad\r\n" + good + b"--b--\r\n",
        "a picture too narrow among good ones": good + part + encoded(scene(1, 9000), "PNG") + b"\r\n--b--\r\n",
        "noise": bytes((i * 53) % 256 for i in range(5000)),
    }
    for name, body in wrong.items():
        kind = "multipart/form-data; boundary=b"
        yield Case(f"multipart: {name}", (request(body, PATH, [("content-type", kind)]),))
    for kind in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "b" * 9000,
    ):
        yield Case(
            f"multipart with the type {kind[:45]}", (request(good + b"--b--\r\n", PATH, [("content-type", kind)]),)
        )
