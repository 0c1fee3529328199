"""Why a body is no JSON, where the parser's own words would mislead."""

from __future__ import annotations

from models.inputs.lookalike import lookalike

INSTEAD = {
    "JSON": None,  # and broken: the parser knows where
    "text": None,
    "text in UTF-16 or UTF-32": "; JSON is sent in UTF-8",
    "a multipart body": "; a form of pictures goes to /v1/embeddings/image as multipart/form-data",
    "a PNG": "; a picture goes to /v1/embeddings/image",
    "a JPEG": "; a picture goes to /v1/embeddings/image",
    "a WebP": "; a picture goes to /v1/embeddings/image",
    "a GIF": "; a picture goes to /v1/embeddings/image",
    "gzip": "; say content-encoding: gzip, or send it uncompressed",
    "zlib (deflate)": "; say content-encoding: deflate, or send it uncompressed",
    "Zstandard": "; say content-encoding: zstd, or send it uncompressed",
}


def why_no_json(body: bytes, error: ValueError) -> str:
    """What is wrong with a body and what would be right.

    Args:
        body: as it came.
        error: the parser's, whose message is kept where nothing better is known.
    """
    if not body:
        return "it is empty; send a JSON object"
    seems = lookalike(body)
    if seems is not None and (advice := INSTEAD.get(seems, "; send a JSON object")) is not None:
        return f"it looks like {seems}{advice}"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as wrong:
        return f"{_byte(body, wrong.start)}; JSON is sent in UTF-8"
    return str(error)


def _byte(body: bytes, at: int) -> str:
    """What is wrong with the first byte that is not UTF-8."""
    found = f"byte 0x{body[at]:02X} at position {at} is not UTF-8"
    if body[at] == 0xED and at + 1 < len(body) and body[at + 1] >= 0xA0:
        return f"{found} but half of a surrogate pair"
    if at and body[at - 1] < 0x80 and (at + 1 == len(body) or body[at + 1] < 0x80) and body[at] >= 0xA0:
        return f"{found}; in Latin-1 it would be {bytes(body[at : at + 1]).decode('latin-1')!r}"
    return found
