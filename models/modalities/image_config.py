"""What the configuration says of pictures: ``config`` of a catalogue entry, and the keys of ``limits``."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol, Self

from pydantic import Field, StrictInt, model_validator

from models.inputs.preparation import Preparation, Side
from models.modalities.model_files import ModelConfig

SHRINK_MARGIN = 3  # the least that keeps vectors within a cosine of 0.9995; docs/models.md has the measurements


class ImageConfig(ModelConfig):
    """What ``config`` of an image model may say."""

    image_size: Side | tuple[Side, Side]  # of squares, or height and width
    # Read by nobody: graphs are built by what config.json says of both. The content hashes of CLIP are made with them.
    patch_size: Annotated[StrictInt, Field(ge=1)] | None = None
    num_channels: Literal[3] = 3
    shrink_margin: Annotated[StrictInt, Field(ge=SHRINK_MARGIN, le=64)] | None = None  # absent: every pixel is decoded
    preparation: Preparation | None = None  # absent: CLIP's own for squares of ``image_size``

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        size = self.image_size if isinstance(self.image_size, int) else list(self.image_size)
        if self.preparation is None and not isinstance(size, int):
            raise ValueError("image_size is of no square; preparation has to say how pictures become so")
        if self.preparation is not None and self.preparation.size != size:
            raise ValueError(
                f"image_size is {self.image_size}, and preparation makes pictures of {self.preparation.size}"
            )
        return self


class HeaderLimits(Protocol):
    """The keys of ``limits`` that gateway and encoder have for pictures."""

    @property
    def image_formats(self) -> tuple[str, ...]:
        """Accepted formats, by the names that Pillow gives them."""

    @property
    def image_pixels(self) -> int:
        """Most pixels of a picture, width × height."""


class DecodeLimits(HeaderLimits, Protocol):
    """The keys of an encoder's ``limits`` that concern pictures."""

    @property
    def image_memory_bytes(self) -> int:
        """Most bytes that all decodings of a process take together."""

    @property
    def image_s(self) -> float:
        """Most seconds of a processor that one decoding takes."""


class PictureLimits(HeaderLimits, Protocol):
    """The keys of the gateway's ``limits`` that concern pictures."""

    @property
    def image_bytes(self) -> int:
        """Most bytes of one encoded picture."""
