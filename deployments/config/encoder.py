"""``user_config`` of an encoder."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from deployments.config.base import Strict
from deployments.config.limits import EncoderLimits
from models.catalog.catalog import SHRINK_MARGIN
from models.engine.providers import Wish


class EncoderConfig(Strict):
    """``user_config`` of an encoder deployment; a change swaps the artifact without a restart."""

    artifact: str  # `name@version` of the catalogue, or the path of a graph to serve under this version's label
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None  # refuse an artifact with another content hash
    threads: Annotated[int, Field(ge=0, le=256)] = 0  # ONNX Runtime's threads; 0: the replica's cores
    # The second batch in the engine has a session of its own, where a graph's threads share its operators. 16 texts in fp32
    # per request: 47 requests/s, 40 without; pictures in fp32 22 and 19. Takes the weights' memory twice: 80 MB for text.
    spare_session: bool = True
    batch_cost: Annotated[int, Field(ge=1)] = 2048  # tokens (or images × 64) that one batch may hold
    engine_timeout_s: Annotated[float, Field(gt=0)] = 20.0  # a batch takes 0.1 to 2 s; what takes ten times that hangs
    shrink_margin: int | None = None  # decode large JPEGs smaller, 3 or more; 0: never; none: as the catalogue says
    provider: Wish = "auto"  # the best of what this replica has; in production any other must be got, or nothing loads
    cuda_graph: bool = False  # replay captured launches: pays where batches are small, and one batch at a time runs
    engine_cache: str | None = None  # a folder for TensorRT's engines, which take minutes; none: built at each start
    limits: EncoderLimits = EncoderLimits()  # of images; refused here as in the gateway

    @field_validator("shrink_margin")
    @classmethod
    def _check_margin(cls, margin: int | None) -> int | None:
        if margin and not SHRINK_MARGIN <= margin <= 64:
            raise ValueError(f"must be 0 (every pixel is decoded) or {SHRINK_MARGIN} to 64; less moves vectors too far")
        return margin
