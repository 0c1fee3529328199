"""Inputs whose cost may grow faster than their size, for each reader; the same for the same seed.

Most are a beginning, a piece that repeats, and an end. What can be named is taken from the lists of the libraries.
"""

from __future__ import annotations

import io
import random
import struct
import unicodedata
import zlib
from collections.abc import Callable
from encodings.aliases import aliases
from functools import cache

from backports import zstd
from PIL import Image, TiffImagePlugin, TiffTags

from deployments.http.inflate import CODINGS
from tests.faults.hostile.pictures import FORMATS, MODES, chunk, encoded, png, scene, tiff
from tests.faults.mutate import FRAGMENTS, NUMBERS, damaged

LENGTHS = (100, 1000, 10_000, 100_000)
LARGE = (1 << 20, 8 << 20)
TEXTS = (
    "a",
    "é",
    "E\u0301",
    "\u0301",
    "字",
    "か",
    ".",
    " ",
    "\t",
    "\x00",
    "\u200d",
    "\ufdfa",
    "ẞ",
    "[CLS]",
    "[CL",
    "##a",
    "x" * 99 + " ",
    "0af9" * 25 + "😀 ",
)
TEXT_PIECES = (*TEXTS, *(chr(c) for c in range(0x80, 0x30000, 191) if unicodedata.category(chr(c)) != "Cs"))
JSON_PIECES = (
    "[",
    "{",
    '{"a":',
    "[]",
    "[],",
    "{},",
    '"",',
    '"ab",',
    "0,",
    "1e9,",
    "1.5,",
    "-",
    "9",
    "null,",
    '"\\u0041",',
    '"\\\\",',
    "\\",
    '"',
    " ",
    "\n",
    "\ufeff",
    '{"":0},',
    '"a":0,',
)
JSON_STARTS = (
    "",
    "[",
    '{"input":[',
    '{"input":"',
    '{"model":"m","input":[[',
    '{"inputs":[{"name":"text","datatype":"BYTES","shape":[1],"data":[',
    "\ufeff",
)
JSON_ENDS = ("", "]", "]}", '"}', "0]]}", "]}]}", "\n\x01\0\0\0a")
FORM_PIECES = (
    b"\r\n--b",
    b"\r\n--bX",
    b"\r\n",
    b"\r",
    b"-",
    b"--b\r\n",
    b" ",
    b";",
    b'"',
    b"\\",
    b'; a="b"',
    b"x: y\r\n",
    b"\r\n\r\n",
    b'--b\r\ncontent-disposition: form-data; name="file"\r\n\r\n',
)
HEADER_PIECES = (b"9", b"0", b"\xb2", b".", b"e", b"-", b" ", b";", b",", b'"', b"=", b"+", b"_", b"1.", b"bulk,")
BASE64_PIECES = (b"A", b"=", b"\n", b" ", b"-", b"_", b"+/", b"*", b"\xc4", b"AAAA\r\n", b"data:", b"%")
CODECS = tuple(sorted({*aliases, *aliases.values()}))
SIDES = (1, 7, 40, 200, 900)


def repeated(
    chance: random.Random,
    starts: tuple[bytes, ...],
    pieces: tuple[bytes, ...],
    ends: tuple[bytes, ...],
    lengths: tuple[int, ...] = LENGTHS,
) -> bytes:
    piece = b"".join(chance.choices(pieces, k=chance.choice((1, 1, 1, 2, 3))))
    times = max(1, chance.choice(lengths) // len(piece))
    return chance.choice(starts) + piece * times + chance.choice(ends)


def text(chance: random.Random) -> bytes:
    pieces = tuple(piece.encode() for piece in TEXT_PIECES)
    if chance.random() < 0.3:  # words of digits, each another one
        size, most = chance.choice((5, 30, 99, 100)), chance.choice(LENGTHS)
        mark = chance.choice((" ", "\t", "😀 ", ".", "\u3000"))
        return mark.join(f"{chance.getrandbits(4 * size):x}" for _ in range(most // size)).encode()
    return repeated(chance, (b"", b"hello "), pieces, (b"", b" end"))


def document(chance: random.Random) -> bytes:
    def coded(names: tuple[str, ...]) -> tuple[bytes, ...]:
        return tuple(name.encode() for name in names)

    made = repeated(chance, coded(JSON_STARTS), coded(JSON_PIECES), coded(JSON_ENDS))
    return damaged(chance, made, FRAGMENTS) if chance.random() < 0.2 else made


def large_document(chance: random.Random) -> bytes:
    """Of megabytes, as bodies may be."""
    pieces = tuple(piece.encode() for piece in JSON_PIECES)
    return repeated(chance, (b'{"input":[', b'{"input":"'), pieces, (b"0]}", b'"}'), LARGE)


def form(chance: random.Random) -> bytes:
    names = (b"charset", b"boundary", b"x", b"boundary*", b"name")
    kind = b"multipart/form-data; " + chance.choice(names) + b"=" + chance.choice(CODECS).encode()
    kind += chance.choice((b"; boundary=b", b'; boundary="b"', b"", b"; " + chance.choice(FORM_PIECES) * 500))
    start = b'--b\r\ncontent-disposition: form-data; name="file"\r\n\r\n'
    body = repeated(chance, (b"", start, start + b"x"), FORM_PIECES, (b"", b"\r\n--b--", b"--"))
    return kind.replace(b"\n", b"") + b"\n" + body


def compressed(chance: random.Random) -> bytes:
    """A coding, and streams that repeat, are damaged, or hold much."""
    coding = chance.choice(tuple(CODINGS))
    inside = chance.choice((b"", b"a", b"\0" * chance.choice((1000, 3_000_000, 9_000_000)), chance.randbytes(100_000)))
    form = {"deflate": chance.choice((zlib.MAX_WBITS, -zlib.MAX_WBITS))}.get(coding, 31)
    packer = zlib.compressobj(chance.choice((0, 9)), zlib.DEFLATED, form)
    one = zstd.compress(inside) if coding == "zstd" else packer.compress(inside) + packer.flush()
    empty = {"zstd": zstd.compress(b""), "deflate": b"\0\0\0\xff\xff"}.get(coding, b"\x1f\x8b\x08\x04" + b"\0" * 6)
    first, then, times = chance.choice((b"", one)), chance.choice((one, empty)), chance.choice((1, 1, 100, 2000))
    most = 8 << 20
    times = min(times, most // len(then) + 1)  # 2000 times 9 MB that were not packed are more than the machine has
    body = (first + then * times)[:most]
    return coding.encode() + b"\n" + (damaged(chance, body, ()) if chance.random() < 0.3 else body)


def call(chance: random.Random) -> bytes:
    """A message whose fields, however deep, repeat."""

    def field(number: int, content: bytes) -> bytes:
        size, length = len(content), b""
        while size > 127:
            size, length = size >> 7, length + bytes([size & 127 | 128])
        return bytes([number << 3 | 2]) + length + bytes([size]) + content

    made = b""
    for _ in range(chance.choice((1, 2, 3, 4))):
        inside = chance.choice((b"", made, made * 2, b"x", b"\1" * chance.choice(LENGTHS)))
        made = field(chance.randrange(1, 9), inside) * max(1, chance.choice(LENGTHS) // (len(inside) + 2))
        made = made[: 1 << 21]
    return damaged(chance, made, ()) if chance.random() < 0.2 else made


def header(chance: random.Random) -> bytes:
    return repeated(
        chance, (b"", b"1", b"multipart/form-data; ", chance.choice(CODECS).encode()), HEADER_PIECES, (b"", b"1")
    )[:65_536]


def base64_text(chance: random.Random) -> bytes:
    return repeated(chance, (b"", b"AAAA", b"data:image/png;base64,"), BASE64_PIECES, (b"", b"=", b"*", b"A"))


@cache
def files() -> tuple[bytes, ...]:
    """Pictures of every format, mode and compression, small and as large as the limits of the harness allow."""
    made = [encoded(scene(side, side, mode), kind) for kind in FORMATS for mode in MODES[kind] for side in (24, 900)]
    for name in sorted({*TiffImagePlugin.COMPRESSION_INFO.values()}):
        for mode in ("1", "L", "RGB"):
            try:
                made.append(encoded(scene(200, 200, mode), "TIFF", compression=name))
            except (OSError, ValueError, KeyError, RuntimeError):
                continue  # the library reads it and does not write it, or not in this mode
    for options in ({"progressive": True}, {"subsampling": 0}, {"optimize": True}, {"restart_marker_rows": 1}):
        made.append(encoded(scene(400, 300), "JPEG", **options))
    return tuple(made)


def picture(chance: random.Random) -> bytes:
    return chance.choice((damaged_file, damaged_file, jpeg, jpeg, one_tiff, one_png, one_gif, one_colour))(chance)


def damaged_file(chance: random.Random) -> bytes:
    return damaged(chance, chance.choice(files()), ())


def jpeg(chance: random.Random) -> bytes:
    """With scans, segments or bytes that repeat, and sometimes another kind of frame."""
    side = chance.choice(SIDES)
    data = encoded(scene(side, side, chance.choice(MODES["JPEG"])), "JPEG", progressive=chance.random() < 0.7)
    marker = bytes((0xFF, chance.choice((*range(0xC0, 0xFF), 0xDA, 0xDA, 0xDA))))
    at = [i for i in range(len(data) - 1) if data[i] == 0xFF and data[i + 1] not in (0, 0xFF)]
    if chance.random() < 0.2:
        frame = next(i for i in at if data[i + 1] in (0xC0, 0xC2))
        data = data[: frame + 1] + bytes((chance.choice(range(0xC0, 0xD0)),)) + data[frame + 2 :]
    begin, end = sorted(chance.choices(at, k=2))
    piece = chance.choice(
        (data[begin:end], data[data.rindex(b"\xff\xda") : -2], marker + b"\0\2", marker, b"\xff", b"\xff\xfe\0\2")
    )
    place = chance.choice((2, chance.choice(at), len(data) - 2))
    return data[:place] + piece * (chance.choice(LENGTHS) // max(1, len(piece))) + data[place:]


def one_tiff(chance: random.Random) -> bytes:
    """A directory of the library's tags with numbers that mean trouble."""
    side = chance.choice(SIDES)
    rows = {
        256: (256, 4, 1, side),
        257: (257, 4, 1, side),
        258: (258, 3, 1, 8),
        277: (277, 3, 1, 1),
        262: (262, 3, 1, 1),
    }
    rows[259] = (259, 3, 1, chance.choice(tuple(TiffImagePlugin.COMPRESSION_INFO)))
    for tag in (273, 278, 279, 322, 323, 324, 325, *chance.choices(tuple(TiffTags.TAGS_V2), k=5)):
        if chance.random() < 0.6:
            rows[tag] = (
                tag,
                chance.choice((1, 2, 3, 4, 5)),
                chance.choice((1, 1, 1, 9, 60_000)),
                chance.choice((*NUMBERS, side, 16 * side)),
            )
    return tiff([row for row in rows.values() if max(row) < 2**32]) + chance.randbytes(chance.choice((0, 5000)))


def one_png(chance: random.Random) -> bytes:
    """Chunks that repeat or unpack into much."""
    kind = chance.choice(
        (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"IDAT", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"PLTE", b"tRNS", b"abcd")
    )
    packed = zlib.compress(b"\0" * chance.choice((10, 10_000, 3_000_000)), 9)
    inside = chance.choice(
        (b"", packed, b"a\0\0" + packed, b"a\0\1\0\0\0" + packed, b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01" * 30_000)
    )
    one = chunk(kind, inside)
    side = chance.choice(SIDES)
    chunks = one * max(1, chance.choice(LENGTHS) // len(one)) + chunk(b"IDAT", packed)
    return png(side, side, chunks, chance.choice((1, 2, 4, 8, 16)), chance.choice((0, 2, 3, 4, 6)))


def one_gif(chance: random.Random) -> bytes:
    side = chance.choice(SIDES)
    data = encoded(scene(side, side, "P"), "GIF")
    at = data.index(b",")
    piece = chance.choice(
        (b"!\xfe\0", b"!\xfe\1a\0", b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0", b"!\xf9\4\0\0\0\0\0", data[at:-1], b"\0")
    )
    return data[:at] + piece * (chance.choice(LENGTHS) // len(piece)) + data[at:]


def one_colour(chance: random.Random) -> bytes:
    """Many pixels in few bytes, of every shape."""
    width, height = chance.choice(((1000, 1000), (2000, 500), (2000, 3), (3, 2000), (1, 2000), (1001, 1000), (1, 1)))
    kind = chance.choice(FORMATS)
    buffer = io.BytesIO()
    Image.new(chance.choice([mode for mode in MODES[kind] if mode not in ("I;16", "LAB")]), (width, height)).save(
        buffer, kind
    )
    data = buffer.getvalue()
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x0112, 3, 1, chance.randrange(10)) + b"\0\0\0\0"
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:] if kind == "JPEG" else data


INPUTS: dict[str, Callable[[random.Random], bytes]] = {
    "picture": picture,
    "shrunk picture": jpeg,
    "picture's header": picture,
    "text": text,
    "OpenAI's JSON": document,
    "v2's JSON and tensors": document,
    "large JSON": large_document,
    "gRPC": call,
    "compressed body": compressed,
    "form": form,
    "headers": header,
    "base64": base64_text,
}


def input_of(parser: str, seed: int) -> bytes:
    """The input of a seed."""
    return INPUTS[parser](random.Random(f"{parser} {seed}"))
