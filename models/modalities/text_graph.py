"""Graphs that take token ids: their shapes, and a run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.engine.buckets import LENGTHS, Buckets, cut_text_buckets, text_buckets
from models.engine.types import Vectors
from models.graph.steps import Pooling

if TYPE_CHECKING:
    from models.engine.engine import Engine
    from models.engine.session import EngineOptions


def buckets(options: EngineOptions, longest: int = LENGTHS[-1]) -> Buckets:
    """The fixed shapes of a text graph up to ``longest`` tokens."""
    return cut_text_buckets(longest) if options.on_openvino else text_buckets(longest, options.largest_run)


def run_padded(engine: Engine, ids: NDArray[np.int64], mask: NDArray[np.int64], pooling: Pooling = "mean") -> Vectors:
    """Run a text graph once: int64 [n, t] with their mask to unit vectors, float32 [n, d].

    Args:
        engine: of the graph.
        ids: token ids, padded on the right.
        mask: 1 where there is a token.
        pooling: how the output of a ready-made graph, one vector per token, becomes one per text.
    """
    values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return engine.run(values, partial(_pool, mask=mask, pooling=pooling))


def _pool(tokens: NDArray[np.float32], mask: NDArray[np.int64], pooling: Pooling) -> NDArray[np.float32]:
    """[n, t, d] to [n, d]; sums each row alone, so that padding and neighbours leave its bits as they are."""
    if pooling == "cls":
        first: NDArray[np.float32] = tokens[:, 0]
        return first
    return np.stack([row[: int(m.sum())].mean(axis=0) for row, m in zip(tokens, mask, strict=True)])
