"""What bytes seem to be that are not what was asked for: the half of an error message that helps."""

from __future__ import annotations

import codecs

STARTS: dict[bytes, str] = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\x78\x01": "zlib (deflate)",
    b"\x78\x9c": "zlib (deflate)",
    b"\x78\xda": "zlib (deflate)",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"PK\x03\x04": "a ZIP archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\xef\xbb\xbf": "text with a byte order mark",
    b"\xff\xfe": "text in UTF-16 or UTF-32",
    b"\xfe\xff": "text in UTF-16 or UTF-32",
    b"\x89PNG": "a PNG",
    b"\xff\xd8\xff": "a JPEG",
    b"GIF8": "a GIF",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"8BPS": "a Photoshop file",
    b"\0\0\1\0": "an icon (ICO)",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"%PDF": "a PDF",
    b"%!PS": "PostScript",
    b"\x93NUMPY": "a NumPy array",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x1aE\xdf\xa3": "a Matroska or WebM video",
    b"OggS": "Ogg",
    b"ID3": "MP3",
}
RIFF = {b"WEBP": "a WebP", b"WAVE": "a WAVE sound", b"AVI ": "an AVI video"}
BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC", b"avif": "AVIF", b"avis": "AVIF"}  # fmt: skip
BASE64_OF_IMAGES = (b"/9j/", b"iVBORw0KGgo", b"UklGR", b"R0lGOD", b"SUkqA", b"TU0AK")
WORDS = {  # text, in lower case, without leading spaces
    b"data:": "a data: URI as text",
    b"http://": "a URL as text",
    b"https://": "a URL as text",
    b"file:": "a path as text",
    b"<svg": "SVG",
    b"<?xml": "XML, such as SVG",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"{": "JSON",
    b"[": "JSON",
    b"--": "a multipart body",
}
UTF_8 = codecs.getincrementaldecoder("utf-8")
LOOK = 64  # bytes that are looked at


def lookalike(data: bytes) -> str | None:
    """What bytes seem to be, by how they begin, as words that follow "looks like"; None where nothing fits."""
    start = data[:LOOK]
    if start[4:8] == b"ftyp":
        return BRANDS.get(start[8:12], "an MP4 video or one of its relatives")
    if start[:4] == b"RIFF":
        return RIFF.get(start[8:12], "RIFF")
    found = next((name for signature, name in STARTS.items() if start.startswith(signature)), None)
    return found or _as_text(start)


def _as_text(start: bytes) -> str | None:
    zeros = start.count(b"\0")
    if zeros and _printable(start.replace(b"\0", b"")) and zeros * 2 >= len(start) - 1:
        return "text in UTF-16 or UTF-32"
    words = start.lstrip()
    if words.startswith(BASE64_OF_IMAGES):
        return "base64 of an image, as text"
    lower = words.lower()
    found = next((name for word, name in WORDS.items() if lower.startswith(word)), None)
    return found or ("text" if _printable(start) else None)


def _printable(start: bytes) -> bool:
    try:
        text = UTF_8().decode(start)  # which may end inside of a character
    except UnicodeDecodeError:
        return False
    return bool(text) and all(character.isprintable() or character in "\t\r\n" for character in text)
