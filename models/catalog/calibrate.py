"""Measures a text model on sample texts, and chooses how the inputs of its products are quantised.

A developer runs it once for each model and commits the result, so that every machine builds the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.catalog.build import build_graph
from models.graph.builder import GraphBuilder, Value
from models.graph.calibration import STEPS_PER_OCTAVE, Calibration, Product
from models.graph.int8 import quantise_columns
from models.graph.linear import Fp32Linear, Origin, Vector, Weights
from models.inputs.token_ids import Ids

Rows = NDArray[np.float32]

ROWS = 3000  # rows of hidden states on which the candidates for a product are compared
STRENGTHS = (0.5, 0.6, 0.7, 0.8, 0.9)  # SmoothQuant's alpha: how much of an outlier moves into the weights
WORTH = 1.6  # a step per row is slower: it is chosen only where a constant step has more than 1.6 times its error
PERCENTILES = (100.0, 99.99, 99.9)  # of a channel's magnitudes; larger values are clipped


class ObservingLinear(Fp32Linear):
    """float32 products that remember their inputs."""

    def __init__(self) -> None:
        """Start without recorded inputs."""
        self.inputs: dict[str, tuple[Value, Rows, Origin]] = {}

    def __call__(
        self,
        graph: GraphBuilder,
        x: Value,
        name: str,
        weight: Rows,
        *,
        bias: Vector | None = None,
        offset: Vector | None = None,
        residual: Value | None = None,
        origin: Origin = Origin.OTHER,
    ) -> Value:
        """See ``Linear``."""
        if origin is not Origin.PIXELS:
            self.inputs[name] = (x, weight, origin)
        return super().__call__(graph, x, name, weight, bias=bias, offset=offset, residual=residual, origin=origin)


def calibrate(config: dict[str, Any], weights: Weights, rows: Sequence[Ids], pooling: str = "mean") -> Calibration:
    """Run a model over tokenised texts and choose factors, step and centre for each of its products.

    Args:
        config: its Hugging Face ``config.json``.
        weights: by the names that the graphs use.
        rows: token ids of each sample text; a few hundred varied ones suffice.
        pooling: ``mean`` or ``cls``.

    Raises:
        ArtifactError: no family builds this architecture.
    """
    linear = ObservingLinear()
    model = build_graph(config, weights, linear, {"pooling": pooling})
    for value, _, _ in linear.inputs.values():
        model.graph.output.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, None))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value for value, _, _ in linear.inputs.values()]
    seen: dict[str, list[Rows]] = {name: [] for name in names}
    for ids in rows:
        batch = ids[None].astype(np.int64)
        outputs = session.run(names, {"input_ids": batch, "attention_mask": np.ones_like(batch)})
        for name, output in zip(names, outputs, strict=True):
            seen[name].append(output)
    products = {}
    for name, (value, weight, origin) in linear.inputs.items():
        inputs = np.concatenate(seen.pop(value))
        if origin is Origin.NORM:
            products[name] = _choose(inputs, weight)
    return Calibration(products)


def _choose(rows: Rows, weight: Rows) -> Product:
    """The candidate whose int8 product lies closest to the float32 one, in mean square over sampled rows.

    A constant step is cheaper than one per row, so the error of a step per row counts ``WORTH`` times.
    """
    sample = rows[:: max(1, len(rows) // ROWS)]
    exact = sample @ weight
    candidates = [
        _candidate(rows, maxima, weight, strength)
        for maxima in (np.percentile(np.abs(rows), q, axis=0) for q in PERCENTILES)
        for strength in STRENGTHS
    ]
    candidates += [replace(candidate, step=0.0, centre=128) for candidate in candidates]
    errors = [float(np.square(_simulate(sample, weight, candidate) - exact).mean()) for candidate in candidates]
    weighted = [
        error * (WORTH if candidate.step == 0 else 1) for error, candidate in zip(errors, candidates, strict=True)
    ]
    return candidates[int(np.argmin(weighted))]


def _candidate(rows: Rows, maxima: NDArray[Any], weight: Rows, strength: float) -> Product:
    """Smoothing factors ``maxima^a / |weights|^(1 - a)`` (SmoothQuant, equation 4) and the step that covers the result."""
    reach = np.maximum(np.abs(weight).max(axis=1), 1e-5).astype(np.float64)
    highest = np.maximum(maxima, 1e-5).astype(np.float64)
    logarithms = strength * np.log2(highest) - (1 - strength) * np.log2(reach)
    steps = np.rint((logarithms - logarithms.mean()) * STEPS_PER_OCTAVE)
    exponents = np.clip(steps, -127, 127).astype(np.int8)
    factors = Product(exponents, 1.0, 0).factors
    high = float((np.minimum(rows.max(axis=0), highest) / factors).max())
    low = float((np.maximum(rows.min(axis=0), -highest) / factors).min())
    step = float(np.float32((max(high, 0.0) - min(low, 0.0)) / 254))
    return Product(exponents, step, int(np.clip(np.rint(-low / step), 0, 255)))


def _simulate(sample: Rows, weight: Rows, product: Product) -> Rows:
    quantised, scale = quantise_columns((weight * product.factors[:, None]).astype(np.float32))
    smooth = sample / product.factors.astype(np.float32)
    step = np.float32(product.step) if product.step else np.abs(smooth).max(axis=1, keepdims=True) / np.float32(127)
    steps = np.clip(np.rint(smooth / step) + product.centre, 0, 255) - product.centre
    result: Rows = (steps.astype(np.float32) * step) @ (quantised * scale)
    return result
