"""How a picture becomes the numbers that its model was trained on: size, crop, filter, scale, mean and deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StrictInt, model_validator

from models.errors import LimitError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
RESIZED_PIXELS = 50_000_000  # 200 MB as RGB; the reference resizes even a very narrow picture whole before it crops
FILTERS = {filter_.name.lower(): filter_ for filter_ in Image.Resampling}

Side = Annotated[StrictInt, Field(ge=1, le=8192)]
Channels = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
Filter = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]


@dataclass(frozen=True, slots=True)
class Framing:
    """The part that leaves uint8 pixels: what is done to a decoded picture of any size. Sent to decoders with the pictures."""

    height: int = 224  # of what comes out, in pixels; so is the next
    width: int = 224
    short_side: int | None = 224  # the short side after resizing, the other in proportion
    longest: int | None = None  # with ``short_side``: the long side stays below it, and the short one gets shorter
    exact: tuple[int, int] | None = None  # or height and width after resizing, whatever the proportions
    resample: int = Image.Resampling.BICUBIC
    bgr: bool = False
    # Torchvision's pipelines resize in the file's own mode, drop transparency, and round half a pixel to the even side.
    torchvision: bool = False

    @classmethod
    def square(cls, size: int) -> Self:
        """CLIP's own: the short side resized to ``size``, and the centre cropped."""
        return cls(size, size, size)

    @property
    def shrinkable(self) -> bool:
        """Whether JPEGs may be decoded at a fraction of their size: what is done to them looks alike when they lie on a side."""
        square = self.exact is not None and self.exact[0] == self.exact[1]
        return (square or self.short_side is not None) and not self.torchvision

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that a picture is resized to, even a very narrow one, before it is cropped.

        Raises:
            LimitError: that is too much for a picture so narrow.
        """
        if self.exact is not None:
            return self.exact[1], self.exact[0]
        if self.short_side is None:
            return width, height
        short, long = max(1, min(width, height)), max(width, height)
        side, longer = self.short_side, int(self.short_side * long / short)
        if self.longest is not None and long / short * side > self.longest:
            raw = self.longest * short / long
            side = max(1, round(raw))
            longer = long if side == short else max(1, int(raw * long / short))
        if longer * side > RESIZED_PIXELS:
            raise LimitError(
                f"image of {width}×{height} pixels is too narrow: with a short side of {side} it exceeds the limit of "
                f"{RESIZED_PIXELS} pixels"
            )
        return (side, longer) if width <= height else (longer, side)

    def offset(self, length: int, kept: int) -> int:
        """Where a crop to ``kept`` pixels begins along a side of ``length``; negative where black is added around."""
        spare = length - kept
        if not self.torchvision:
            return spare // 2
        return round(spare / 2) if spare > 0 else -(-spare // 2)


class Preparation(BaseModel):
    """``config.preparation`` of a picture model's catalogue entry; an entry without it means CLIP's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    short_side: Side | None = None
    longest: Side | None = None
    exact: tuple[Side, Side] | None = None  # height, width
    crop: Side | tuple[Side, Side] | None = (
        None  # the centre, of this side or height and width; black around smaller ones
    )
    resample: Filter = "bicubic"
    scale: FiniteFloat = 1 / 255
    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)
    channels: Literal["rgb", "bgr"] = "rgb"
    pipeline: Literal["transformers", "torchvision"] = "transformers"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.short_side is not None and self.exact is not None:
            raise ValueError("short_side and exact exclude each other")
        if self.longest is not None and self.short_side is None:
            raise ValueError("longest goes with short_side")
        if self.crop is None and self.exact is None:
            raise ValueError("pictures of one size need crop or exact")
        if 0 in self.std or self.scale == 0:
            raise ValueError("std and scale must not be 0: no picture would be left")
        return self

    @classmethod
    def clip(cls, size: int) -> Self:
        """CLIP's own for squares of ``size`` pixels."""
        return cls(short_side=size, crop=size, mean=CLIP_MEAN, std=CLIP_STD)

    @classmethod
    def of(cls, config: dict[str, Any]) -> Self:
        """That of a catalogue entry's ``config``."""
        given = config.get("preparation")
        return cls.clip(config["image_size"]) if given is None else cls.model_validate(given)

    def __str__(self) -> str:
        """What a card says of it."""
        return ", ".join(f"{key} {value}" for key, value in self.entry.items())

    @property
    def entry(self) -> dict[str, Any]:
        """It as a catalogue entry has it."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what comes out, in pixels."""
        if self.crop is None:
            return self.exact or (0, 0)
        return (self.crop, self.crop) if isinstance(self.crop, int) else self.crop

    @property
    def size(self) -> int | list[int]:
        """The same as ``image_size`` of a catalogue entry has it: one number for a square."""
        height, width = self.shape
        return height if height == width else [height, width]

    @property
    def raw(self) -> bool:
        """Whether pixels stay as they are, from 0 to 255."""
        return (self.scale, self.mean, self.std) == (1.0, (0.0,) * 3, (1.0,) * 3)

    def without_values(self) -> Self:
        """The same for a graph that scales and normalises pixels itself."""
        return self.model_copy(update={"scale": 1.0, "mean": (0.0,) * 3, "std": (1.0,) * 3})

    @property
    def framing(self) -> Framing:
        """The part that leaves uint8 pixels."""
        return Framing(
            *self.shape,
            self.short_side,
            self.longest,
            self.exact,
            int(FILTERS[self.resample]),
            self.channels == "bgr",
            self.pipeline == "torchvision",
        )

    def values(self, pixels: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scale and normalise uint8 [n, h, w, 3] to float32 [n, 3, h, w], the input of ready-made graphs.

        Each step rounds as the reference does: it multiplies in float64 and divides in float32.
        """
        scaled = (np.asarray(pixels).astype(np.float64) * self.scale).astype(np.float32)
        normalised = (scaled - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))
