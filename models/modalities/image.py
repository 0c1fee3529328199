"""Images: encoded pictures, decoded to pixels of one size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, Self
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StrictInt, model_validator

from models.engine.buckets import Buckets, cut_image_buckets, image_buckets
from models.engine.types import Vectors
from models.errors import InputError, LimitError
from models.inputs.base64_text import from_base64
from models.inputs.image import Pixels, decode
from models.inputs.image_header import ImageLimits, check_header
from models.inputs.preparation import Framing, Preparation
from models.modalities.base import (
    Embedder,
    Item,
    Modality,
    ModelConfig,
    ModelFiles,
    Prepared,
    Row,
    require_modality,
    stacked,
)

if TYPE_CHECKING:
    from pathlib import Path

    from models.engine.engine import Engine
    from models.engine.session import EngineOptions

BATCH_IMAGES = 16  # pictures of one run on a CPU: above it speed stays flat and activations only take memory
WARM_UP = (1, 4)  # pictures
COST = 64  # a picture in units of tokens: ViT-B/32 takes about 64 times a MiniLM token's work per picture
SHRINK_MARGIN = 3  # the least that keeps vectors within a cosine of 0.9995; docs/models.md has the measurements
DEFAULT_SIDE = 224
PERCENT = {"%2B": "+", "%2F": "/", "%3D": "=", "%0A": "\n", "%0D": "\r", "%20": " "}  # what encoders of URIs write
FEW_PERCENT = 100  # other characters that nobody has to encode; with more, it is no base64


class ImageConfig(ModelConfig):
    """What ``config`` of an image model may say."""

    image_size: Annotated[StrictInt, Field(ge=1, le=8192)]
    patch_size: Annotated[StrictInt, Field(ge=1)] | None = None
    num_channels: Literal[3] = 3
    shrink_margin: Annotated[StrictInt, Field(ge=SHRINK_MARGIN, le=64)] | None = None  # absent: every pixel is decoded
    preparation: Preparation | None = None  # absent: CLIP's own for squares of ``image_size``

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        if self.preparation is not None and self.preparation.size != self.image_size:
            raise ValueError(
                f"image_size is {self.image_size}, and preparation makes squares of {self.preparation.size}"
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
        if not isinstance(item, bytes):
            return None
        try:
            check_header(item, ImageLimits(limits.image_formats, limits.image_pixels))
        except InputError as error:
            return error
        return None

    def estimate(self, item: Item, most: int | None) -> int:  # noqa: ARG002 - pixels are as many for each
        """Every picture costs the same."""
        return 1

    def read_sample(self, path: Path) -> list[Item]:
        """The files of a folder, in order of their names."""
        return [file.read_bytes() for file in sorted(path.iterdir()) if file.is_file()]

    def from_bytes(self, element: bytes, where: str) -> Item:  # noqa: ARG002 - decoding tells what is no picture
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
        self.size: int = artifact.spec.config["image_size"]
        self.prepared = Preparation.of(artifact.spec.config)
        self.framing = self.prepared.framing
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
        """Unit vectors of uint8 pixels [size, size, 3] each, float32 [n, d], in order."""
        return self.embed_pixels(np.stack(rows))

    def embed_pixels(self, pixels: Pixels) -> Vectors:
        """Unit vectors of uint8 pixels [n, size, size, 3], float32 [n, d], in order."""
        ends = list(accumulate(self.engine.parts(len(pixels), BATCH_IMAGES)))
        pieces = [pixels[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        return stacked(self.engine.map(self.run_pixels, pieces))

    def run_pixels(self, pixels: Pixels) -> Vectors:
        """The same, in a single run of the engine."""
        return run_pixels(self.engine, pixels, self.prepared)

    def preparation(self, limits: DecodeLimits | None = None) -> Decode:
        """Encoded pictures → uint8 [size, size, 3]."""
        accepted = ImageLimits() if limits is None else _image_limits(limits)
        return Decode(self.framing, accepted, self.shrink_margin)

    def cost(self, row: Row) -> int:  # noqa: ARG002 - pixels are as many for each
        """Every picture costs the same."""
        return COST

    def probe_row(self) -> Row:
        """A fixed pattern of pixel values."""
        ramp = np.arange(self.size * self.size * 3, dtype=np.uint32) % 251
        return ramp.astype(np.uint8).reshape(self.size, self.size, 3)

    def warm_up_batches(self) -> Iterator[list[Row]]:
        """One picture and several."""
        for count in WARM_UP:
            yield [np.zeros((self.size, self.size, 3), np.uint8)] * count

    def warm_up_example(self) -> Mapping[str, NDArray[Any]]:
        """One black picture."""
        return values_of(self.engine, np.zeros((1, self.size, self.size, 3), np.uint8), self.prepared)


@dataclass(frozen=True, slots=True)
class Decode:
    """Decoding as one artifact wants it; sent to decoders together with the pictures."""

    framing: Framing
    limits: ImageLimits
    shrink_margin: int = 0  # as models.inputs.image.decode takes it

    apart: ClassVar[bool] = True
    portable: ClassVar[bool] = True

    def quick(self, items: Sequence[Item]) -> bool:  # noqa: ARG002 - 7 ms for 640×480
        """Never: decoding is worth a thread."""
        return False

    def __call__(self, items: Sequence[Item]) -> list[Prepared]:
        """For each item uint8 [size, size, 3], or the error that explains why there is none."""
        return [self._decoded(item) for item in items]

    def _decoded(self, item: Item) -> Prepared:
        if not isinstance(item, bytes):
            return InputError("this model embeds images, not text", code="wrong_modality")
        try:
            return decode(item, self.framing, self.limits, self.shrink_margin)
        except InputError as error:
            return error
        except MemoryError:
            return LimitError("decoding this image takes more memory than there is")


def _image_limits(limits: DecodeLimits) -> ImageLimits:
    return ImageLimits(limits.image_formats, limits.image_pixels, limits.image_memory_bytes, limits.image_s)


def buckets(options: EngineOptions) -> Buckets:
    """The fixed shapes of an image graph."""
    return cut_image_buckets() if options.on_openvino else image_buckets(options.largest_run)


def fixed_side(engine: Engine) -> int | None:
    """The side of the pictures that a graph takes, where the graph fixes it."""
    shape = next(iter(engine.shapes.values()))
    side = shape[2] if len(shape) == 4 else None
    return side if isinstance(side, int) else None


def takes_pixels(engine: Engine) -> bool:
    """Whether a graph takes uint8 pixels as they are, and so scales and normalises them itself."""
    return next(iter(engine.inputs.values())) == np.uint8


def values_of(engine: Engine, pixels: Pixels, preparation: Preparation) -> dict[str, NDArray[Any]]:
    """The graph's input for uint8 pixels [n, h, w, 3]: as they are, or normalised where the graph does not do it."""
    name, dtype = next(iter(engine.inputs.items()))
    return {name: pixels if dtype == np.uint8 else preparation.values(pixels)}


def run_pixels(engine: Engine, pixels: Pixels, preparation: Preparation) -> Vectors:
    """Run an image graph once: uint8 pixels [n, h, w, 3] to unit vectors, float32 [n, d]."""
    return engine.run(values_of(engine, pixels, preparation), lambda tokens: tokens[:, 0])


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
