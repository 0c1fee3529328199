"""``user_config`` of an encoder."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from deployments.config.base import Strict
from deployments.config.limits import EncoderLimits
from models.engine.providers import Wish
from models.modalities.image_config import SHRINK_MARGIN

AGREED: Final = "agreed"
MIXED: Final = "mixed"
CLASS: Final = re.compile(r"[a-z0-9-]+/[a-z0-9]+/[a-z0-9_.+-]+/[a-z0-9_.+-]+")


class EncoderConfig(Strict):
    """``user_config`` of an encoder deployment; a change swaps the artifact without a restart."""

    artifact: str  # `name@version` of the catalogue, or the path of a graph to serve under this version's label
    # None: any; else an artifact with another content hash is refused.
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    # auto: `embedserve up` takes the bf16 version of an fp32 artifact where that is faster on this machine; in the development
    # profile alone, because the vectors then depend on where it was started. None: the artifact that is named.
    precision: Literal["auto"] | None = None
    threads: Annotated[int, Field(ge=0, le=256)] = 0  # of ONNX Runtime; 0: as many as the replica has cores
    # The second of two batches that run at once has a session of its own, where threads share operators; on 2 cores a batch that is
    # alone is divided there. With 16 texts in fp32 per request: 47 requests/s instead of 40; images in fp32: 22 instead of 19;
    # 8 pictures in int8: 70 ms instead of 80. Costs the weights' memory again: 80 MB for text.
    spare_session: bool = True
    # Tokens, or 64 for an image: two full calls of a gateway; on a CPU larger batches are no faster.
    batch_cost: Annotated[int, Field(ge=1)] = 2048
    # A batch takes 0.1 to 2 s; one that takes ten times that hangs.
    engine_timeout_s: Annotated[float, Field(gt=0)] = 20.0
    # Decode large JPEGs at a fraction of their size, as long as the short side keeps this many times the model's, 3 or
    # more. 0: decode every pixel; none: as the catalogue says, whose vectors were measured.
    shrink_margin: int | None = None
    # auto: the fastest that this replica has. Any other must be there, or in production no artifact loads.
    provider: Wish = "auto"
    # Which numerics class computes this version's vectors. agreed: the first replica decides, because caches and indexes
    # must not mix bits unknowingly; a class as `/v1/models` shows it: that one; mixed: each replica its own.
    numerics: str = AGREED
    cuda_graph: bool = False  # replay captured launches: faster for small batches, but only one batch runs at a time
    # Swap artifacts while launches are replayed. No card has proved that what one session captures is sound while another
    # computes; without it such a swap is refused, and another artifact needs a version or a start of its own.
    cuda_graph_swaps: bool = False
    engine_cache: str | None = None  # a folder for TensorRT's engines, which take minutes; none: built at each start
    # With `decode: separate`: pictures that decoders on the encoder's own node write into memory shared with it instead of
    # sending them. Two calls of 128 from each of two gateways, so that a card finds all of its pixels there; what finds no place
    # is sent. 512 pictures of 224² are 77 MB, taken as they are used. 0: all are sent.
    pixel_slots: Annotated[int, Field(ge=0, le=65_536)] = 512
    # Metrics whose names changed in this release are exported under their old names too: dashboards and alerts of an operator
    # go on working until they read the new ones. The next release has neither the old names nor this key.
    old_metric_names: bool = True
    # Seconds of traffic that drift is measured against: an hour is longer than one client's job, and an alert need not wait for
    # a day. 0: drift is not watched.
    drift_reference_s: Annotated[float, Field(ge=0, le=604_800)] = 3600.0
    limits: EncoderLimits = EncoderLimits()  # of images; refused here as in the gateway

    @field_validator("numerics")
    @classmethod
    def _check_numerics(cls, numerics: str) -> str:
        if numerics not in (AGREED, MIXED) and not CLASS.fullmatch(numerics):
            raise ValueError(
                f"must be {AGREED}, {MIXED}, or a class as /v1/models shows it (cpu/fp32/avx512f/onnxruntime-1.32.0), not "
                f"{numerics!r:.80}"
            )
        return numerics

    @field_validator("shrink_margin")
    @classmethod
    def _check_margin(cls, margin: int | None) -> int | None:
        if margin and not SHRINK_MARGIN <= margin <= 64:
            raise ValueError(f"must be 0 (every pixel is decoded) or {SHRINK_MARGIN} to 64; less moves vectors too far")
        return margin
