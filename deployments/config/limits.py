"""What the gateway refuses, and how much each caller may ask for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from deployments.config.base import MIB, Strict


class Limits(Strict):
    """What the gateway refuses before any work is done."""

    body_bytes: Annotated[int, Field(ge=1024)] = 32 * MIB  # 16 phone photos; larger jobs are several requests
    body_s: Annotated[float, Field(gt=0)] = 30.0  # until the body has arrived: a full one at 9 Mbit/s
    items: Annotated[int, Field(ge=1)] = 2048  # what the OpenAI API allows in one list
    characters: Annotated[int, Field(ge=1)] = 200_000  # of one text; beyond it only the first 256 pieces would count
    tokens: Annotated[int, Field(ge=1)] = 65_536  # ids of one token list, for the same reason
    image_bytes: Annotated[int, Field(ge=1024)] = 20 * MIB  # a 50-megapixel JPEG
    image_pixels: Annotated[int, Field(ge=1)] = 50_000_000  # 150 MB decoded
    image_formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


class Rate(Strict):
    """How many inputs each API key may send to one gateway replica; callers without a key share one allowance."""

    items_per_second: Annotated[float, Field(gt=0)] | None = None  # none: queues shed what no machine can take anyway
    burst_s: Annotated[float, Field(gt=0, le=3600)] = 10.0  # unused seconds that may come at once: a job's first lists
    keys: dict[str, Annotated[float, Field(gt=0)]] = {}  # another rate for a key, by its name
