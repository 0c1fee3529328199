"""Why bytes give no picture, in words that say what would: another format, a file cut off, a damaged one."""

from __future__ import annotations

from collections.abc import Sequence

from models.errors import InputError
from models.inputs.lookalike import lookalike

# How a whole file of a format ends. JPEGs are looked at less strictly: cameras append data of their own.
ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b"\x3b"}
ADVICE = {
    "base64 of an image, as text": "send the bytes that it stands for here, and base64 only inside JSON",
    "a data: URI as text": "send the image's bytes here, and a data: URI only inside JSON",
    "a URL as text": "send the image's bytes here",
    "a path as text": "send the image's bytes here",
    "text": "send the image's bytes here, or ask a text model",
}


def wrong_format(data: bytes, found: str | None, accepted: Sequence[str]) -> InputError:
    """The error for bytes that are of no accepted format.

    Args:
        data: the bytes.
        found: their format, where it is one that is known and not accepted.
        accepted: the formats that are, as Pillow names them.
    """
    seems = f"{_article(found)} {found}" if found else lookalike(data)
    message = f"not a decodable image (accepted: {', '.join(accepted)})"
    if seems is None:
        message += f": it begins with the bytes {data[:8].hex(' ')}"
    elif advice := ADVICE.get(seems):
        message += f": it looks like {seems}; {advice}"
    else:
        message += f": it {'is' if found else 'looks like'} {seems}; save it as one of those"
    return InputError(message, code="invalid_image")


def broken(data: bytes, found: str | None, error: Exception) -> InputError:
    """The error for a picture of an accepted format that a decoder refused.

    Args:
        data: the bytes.
        found: their format; None where only the decoder knows it.
        error: the decoder's.
    """
    said = str(error)
    if "MAX_TEXT_" in said:  # as Pillow names the limits of a PNG's text chunks
        reason = "its text chunks (metadata) unpack to more than is read; save it without them"
    elif _cut(data, found):
        reason = f"it was cut off after {len(data)} bytes; send the whole file"
    elif "truncated" in said.lower():
        reason = "its data end too early, so that it was cut off or damaged; send the whole file"
    else:
        reason = "it is damaged, or of a rare variant that is not read; open it and save it anew as PNG or JPEG"
    name = found or "image"
    return InputError(f"not a decodable image: this is {_article(name)} {name}, and {reason}", code="invalid_image")


def _cut(data: bytes, found: str | None) -> bool:
    """Whether the end of a file is missing, as far as its bytes tell."""
    if found == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if found == "BMP":
        return int.from_bytes(data[2:6], "little") > len(data)
    end = ENDS.get(found or "")
    if end is None:
        return False
    return end not in data if found == "PNG" else not data.rstrip(b"\0\r\n").endswith(end)


def _article(name: str) -> str:
    return "an" if name.startswith(("i", "A")) else "a"
