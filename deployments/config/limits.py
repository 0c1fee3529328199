"""What is refused for its size or form, and how much each caller may ask for."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from deployments.config.base import MIB, Strict

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # those whose pixels the tests compare with the reference's


def _known(name: str) -> str:
    """A format as Pillow names it."""
    name = name.upper()
    if name not in FORMATS:
        from PIL import Image  # only here: loading every format of Pillow takes 0.1 s

        Image.init()
        if name not in Image.OPEN:
            raise ValueError(f"must be {', '.join(FORMATS)}, or another format that Pillow opens, such as AVIF")
    return name


def _not_empty(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("must name at least one format")
    return names


ImageFormats = Annotated[tuple[Annotated[str, AfterValidator(_known)], ...], AfterValidator(_not_empty)]
PIXELS = 50_000_000  # 200 MB as Pillow keeps them


class Limits(Strict):
    """What the gateway refuses before any work is done."""

    body_bytes: Annotated[int, Field(ge=1024)] = 32 * MIB  # 16 phone photos; larger jobs are several requests
    body_s: Annotated[float, Field(gt=0)] = 30.0  # until the body has arrived: a full one at 9 Mbit/s
    # That a body brings and an answer of more than 64 KiB is read at, on average from the sixth second on: 128 kbit/s, less
    # than any link that pictures or lists are sent over; a full body may take 30 s anyway.
    bytes_per_s: Annotated[int, Field(ge=0)] = 16_384
    # Of requests and answers that one gateway holds, without what fits into 64 KiB at once: eight of the largest, or 18 lists
    # of 2,048 inputs on their way. Parsing one takes up to four times its size, and 120 MB where it is numbers.
    bytes_in_flight: Annotated[int, Field(ge=1024)] = 256 * MIB
    items: Annotated[int, Field(ge=1)] = 2048  # what the OpenAI API allows in one list
    # Of one text; a model reads its first 256 tokens, about 1,000 characters.
    characters: Annotated[int, Field(ge=1)] = 200_000
    tokens: Annotated[int, Field(ge=1)] = 65_536  # ids of one token list; a model reads the first 256
    image_bytes: Annotated[int, Field(ge=1024)] = 20 * MIB  # a 50-megapixel JPEG
    image_pixels: Annotated[int, Field(ge=1)] = PIXELS  # read from the header, before an encoder sees the image
    image_formats: ImageFormats = FORMATS  # fewer: less of Pillow is exposed; more: untested pixels


class EncoderLimits(Strict):
    """What an encoder refuses to decode, whoever sent it: a header may lie, and others than gateways may call."""

    image_pixels: Annotated[int, Field(ge=1)] = PIXELS  # the gateway's: what it lets pass is decoded
    image_formats: ImageFormats = FORMATS  # for the same reason
    # That all decodings of a replica may take together; one waits while others have it. A picture of 50 megapixels takes
    # 400 MB, with transparency too, and as WebP 1.2 GB: it is then the only one.
    image_memory_bytes: Annotated[int, Field(ge=16 * MIB)] = 1280 * MIB
    # Processor seconds of one decoding: three times what the slowest picture of 50 megapixels takes.
    image_s: Annotated[float, Field(gt=0)] = 10.0

    @model_validator(mode="before")
    @classmethod
    def _say_where_others_belong(cls, document: Any) -> Any:
        if isinstance(document, dict):
            others = sorted((set(document) & set(Limits.model_fields)) - set(cls.model_fields))
            if others:
                raise ValueError(
                    f"an encoder reads {', '.join(cls.model_fields)} only; "
                    f"move {', '.join(others)} to limits in the gateway's user_config"
                )
        return document


class Rate(Strict):
    """How many inputs each API key may send to one gateway replica; callers without a key share one allowance."""

    # None: no limit; queues shed what the machines cannot take.
    items_per_second: Annotated[float, Field(gt=0)] | None = None
    # Seconds whose unused allowance may come at once: the first lists of a job.
    burst_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    keys: dict[str, Annotated[float, Field(gt=0)]] = {}  # by a key's name, its own rate; none: all have the rate above
