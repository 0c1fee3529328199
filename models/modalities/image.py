"""Images: encoded pictures, decoded to pixels of one size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from models.engine.types import Vectors
from models.errors import InputError, LimitError
from models.inputs.image import Pixels, decode
from models.inputs.image_header import ImageLimits, check_header
from models.inputs.preparation import Framing, Preparation
from models.modalities.base import Embedder, Item, Prepared, Row, require_modality, stacked
from models.modalities.image_config import DecodeLimits, ImageConfig, PictureLimits
from models.modalities.image_graph import buckets, run_pixels, values_of
from models.modalities.image_text import image_bytes, stands_for_picture
from models.modalities.modality import Modality
from models.modalities.model_files import ModelFiles
from models.modalities.traits import picture_traits

if TYPE_CHECKING:
    from pathlib import Path

    from models.engine.session import EngineOptions

BATCH_IMAGES = 16  # pictures of one run on a CPU: above it speed stays flat and activations only take memory
WARM_UP = (1, 4)  # pictures
COST = 64  # a picture in units of tokens: ViT-B/32 takes about 64 times a MiniLM token's work per picture
DEFAULT_SIDE = 224


class Image(Modality):
    """Encoded pictures."""

    name = "image"
    config = ImageConfig
    fetchable = True
    portable = True
    from_files = True
    encoder_keys = ("limits", "shrink_margin")
    unit_cost = COST
    call_limit = "call_images"
    graph_inputs = "pixels, pixel_values or image"
    noun = "images"
    json_items = "base64 of images"

    def takes(self, inputs: frozenset[str]) -> bool:
        """Whether pixels are the only input."""
        return len(inputs) == 1 and inputs <= {"pixels", "pixel_values", "image"}

    def open(self, artifact: ModelFiles, options: EngineOptions | None = None) -> ImageEmbedder:
        """Load a graph."""
        return ImageEmbedder(artifact, options)

    def claims(self, item: Item) -> bool:
        """Bytes, and strings that are a picture's data: URI, a URL, or base64 that begins as pictures do."""
        return isinstance(item, bytes | memoryview) or (isinstance(item, str) and stands_for_picture(item))

    def check(self, item: Item, where: str, limits: PictureLimits) -> Item:
        """The bytes of one encoded picture."""
        if isinstance(item, tuple):
            raise InputError(
                f"{where}: token ids are text; this model embeds images", param=where, code="wrong_modality"
            )
        data = image_bytes(item, where, limits) if isinstance(item, str) else item
        if len(data) > limits.image_bytes:
            raise LimitError(f"{where} has {len(data)} bytes, the limit is {limits.image_bytes}", param=where)
        return data

    def refusal(self, item: Item, limits: PictureLimits) -> InputError | None:
        """Why its format or size is refused; read from the header, in 10 µs for a JPEG."""
        if not isinstance(item, bytes | memoryview):
            return None
        try:
            check_header(item, _header_limits(limits.image_formats, limits.image_pixels))
        except InputError as error:
            return error
        return None

    def estimate(self, item: Item, most: int | None) -> int:  # noqa: ARG002 - pixels are as many for each
        """Every picture costs the same."""
        return 1

    def read_sample(self, path: Path) -> list[Item]:
        """The files of a folder, in order of their names."""
        return [file.read_bytes() for file in sorted(path.iterdir()) if file.is_file()]

    def from_bytes(self, element: memoryview, where: str) -> Item:  # noqa: ARG002 - decoding tells what is no picture
        """An encoded picture."""
        return element


class ImageEmbedder(Embedder):
    """Encoded images → unit vectors."""

    def __init__(self, artifact: ModelFiles, options: EngineOptions | None = None) -> None:
        """Load the artifact's graph.

        Raises:
            ArtifactError: it does not load, or is not an image graph.
        """
        from models.engine.engine import Engine

        self.artifact = artifact
        self.prepared = Preparation.of(artifact.spec.config)
        self.framing = self.prepared.framing
        self.shape = (*self.prepared.shape, 3)  # of a decoded picture
        self.shrink_margin: int = artifact.spec.config.get("shrink_margin") or 0
        self.engine = Engine(artifact.graph, options, buckets=buckets)
        require_modality(self.engine, "image", artifact.graph)

    def embed(self, images: Sequence[bytes], limits: ImageLimits | None = None) -> Vectors:
        """Unit vectors of encoded images, float32 [n, d], in order.

        Raises:
            InputError: an image does not decode.
        """
        pixels = [decode(image, self.framing, limits, self.shrink_margin) for image in images]
        return self.embed_pixels(np.stack(pixels))

    def embed_rows(self, rows: Sequence[Row]) -> Vectors:
        """Unit vectors of uint8 pixels [height, width, 3] each, float32 [n, d], in order."""
        return self.embed_pixels(np.stack(rows))

    def embed_pixels(self, pixels: Pixels) -> Vectors:
        """Unit vectors of uint8 pixels [n, height, width, 3], float32 [n, d], in order."""
        ends = list(accumulate(self.engine.parts(len(pixels), BATCH_IMAGES)))
        pieces = [pixels[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        return stacked(self.engine.map(self.run_pixels, pieces))

    def run_pixels(self, pixels: Pixels) -> Vectors:
        """The same, [n, height, width, 3] to [n, d], in a single run of the engine."""
        return run_pixels(self.engine, pixels, self.prepared)

    def preparation(self, limits: DecodeLimits | None = None) -> Decode:
        """Encoded pictures → uint8 [height, width, 3]."""
        accepted = ImageLimits()
        if limits is not None:
            accepted = ImageLimits(limits.image_formats, limits.image_pixels, limits.image_memory_bytes, limits.image_s)
        return Decode(self.framing, accepted, self.shrink_margin)

    def cost(self, row: Row) -> int:  # noqa: ARG002 - pixels are as many for each
        """Every picture costs the same."""
        return COST

    def traits(self, item: Item, row: Row) -> dict[str, float]:  # noqa: ARG002 - all rows are of one size
        """The size of a picture: bytes, and where its header tells them, megapixels and width to height."""
        return picture_traits(item)

    def probe_row(self) -> Row:
        """A fixed pattern of pixel values."""
        ramp = np.arange(math.prod(self.shape), dtype=np.uint32) % 251
        return ramp.astype(np.uint8).reshape(self.shape)

    def warm_up_batches(self) -> Iterator[list[Row]]:
        """One picture and several."""
        for count in WARM_UP:
            yield [np.zeros(self.shape, np.uint8)] * count

    def warm_up_example(self) -> Mapping[str, NDArray[Any]]:
        """One black picture, [1, ...]."""
        return values_of(self.engine, np.zeros((1, *self.shape), np.uint8), self.prepared)


@dataclass(frozen=True, slots=True)
class Decode:
    """Decoding as one artifact wants it; sent to decoders together with the pictures."""

    framing: Framing
    limits: ImageLimits
    shrink_margin: int = 0  # as models.inputs.image.decode takes it

    apart: ClassVar[bool] = True
    portable: ClassVar[bool] = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Of every row: height, width, 3."""
        return self.framing.height, self.framing.width, 3

    def quick(self, items: Sequence[Item]) -> bool:  # noqa: ARG002 - 7 ms for 640×480
        """Never: decoding is worth a thread."""
        return False

    def __call__(self, items: Sequence[Item]) -> list[Prepared]:
        """For each item uint8 [height, width, 3], or the error that explains why there is none."""
        return [self._decoded(item) for item in items]

    def _decoded(self, item: Item) -> Prepared:
        if not isinstance(item, bytes | memoryview):
            return InputError("this model embeds images, not text", code="wrong_modality")
        try:
            return decode(bytes(item), self.framing, self.limits, self.shrink_margin)
        except InputError as error:
            return error
        except MemoryError:
            return LimitError("decoding this image takes more memory than there is")


@lru_cache(maxsize=8)
def _header_limits(formats: tuple[str, ...], pixels: int) -> ImageLimits:
    return ImageLimits(formats, pixels)
