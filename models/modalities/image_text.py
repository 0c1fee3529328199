"""Pictures that arrive as text: data: URIs, or bare base64."""

from __future__ import annotations

import re
from urllib.parse import unquote

from models.errors import InputError, LimitError
from models.inputs.base64_text import from_base64
from models.modalities.image_config import PictureLimits

BASE64 = re.compile(r"[A-Za-z0-9+/]{40,64}={0,2}")  # the first characters, without a space in them: no sentence
STARTS = (
    "/9j/",
    "iVBORw0KGgo",
    "UklGR",
    "R0lGOD",
    "SUkqA",
    "TU0AK",
    "Qk0",
    "Qk1",
    "Qk2",
    "Qk3",
)  # of pictures in base64
LOOK = 64  # characters that tell base64 from words
PERCENT = {"%2B": "+", "%2F": "/", "%3D": "=", "%0A": "\n", "%0D": "\r", "%20": " "}  # what encoders of URIs write
FEW_PERCENT = 100  # other characters that nobody has to encode; with more, it is no base64


def stands_for_picture(text: str) -> bool:
    """Whether a string is a picture's ``data:`` URI, a URL and nothing else, or base64 that begins as a picture does."""
    text = text.lstrip() if text[:1].isspace() else text
    head = text[:LOOK]
    if head[:11].lower() == "data:image/":
        return True
    if head[:8].lower().startswith(("http://", "https://")):
        return len(text.split(maxsplit=1)) == 1
    return head.startswith(STARTS) and BASE64.fullmatch(head) is not None


def image_bytes(text: str, where: str, limits: PictureLimits) -> bytes:
    """Decode a ``data:image/...;base64,`` URI or bare base64.

    Raises:
        InputError: it is neither.
        LimitError: it is longer than the limit allows.
    """
    text = text.lstrip() if text[:1].isspace() else text
    if text[:8].lower().startswith(("http://", "https://")):
        raise InputError(
            f"{where}: fetching images by URL is switched off here (fetch.hosts in the gateway's user_config would "
            "allow it); send a data: URI or base64",
            param=where,
            code="url_not_allowed",
        )
    if text[:5].lower() == "data:":
        text = _payload(text, where)
    if len(text) * 3 // 4 > limits.image_bytes + 3:
        size = (len(text) - text.count("\n") - text.count("\r")) * 3 // 4
        if size > limits.image_bytes + 3:
            raise LimitError(f"{where} has about {size} bytes, the limit is {limits.image_bytes}", param=where)
    try:
        data = from_base64(text)
    except ValueError as error:
        raise InputError(
            f"{where} is no base64 of an image: {error}; send base64, or a data:image/...;base64, URI",
            param=where,
            code="invalid_image",
        ) from error
    if not data:
        raise InputError(f"{where} is empty", param=where, code="empty_input")
    return data


def _payload(uri: str, where: str) -> str:
    """The base64 of a data: URI, in which percent signs may stand for characters.

    Raises:
        InputError: it is of no image, or not in base64.
    """
    head, comma, payload = uri.partition(",")
    if not comma or not head.lower().startswith("data:image/") or not head.lower().endswith(";base64"):
        raise InputError(
            f"{where}: a data URI must begin with 'data:image/...;base64,', not with {head[:40]!r}",
            param=where,
            code="invalid_image",
        )
    return _without_percent_signs(payload) if "%" in payload else payload


def _without_percent_signs(payload: str) -> str:
    """Base64 as it was before a URI's percent signs came into it; all but a few by replacing, which is 300 times as fast."""
    for code, character in PERCENT.items():
        payload = payload.replace(code, character).replace(code.lower(), character)
    return unquote(payload) if payload.count("%") <= FEW_PERCENT else payload
