"""What was measured on real inputs before quantising: which channels stick out, and how far rows reach.

The measurements of shipped models lie beside this file, so that a version builds to the same bytes everywhere.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ArtifactError
from models.graph.builder import GraphBuilder, Value
from models.graph.linear import FloatLinear, Origin, Vector

FOLDER = Path(__file__).with_name("calibrations")
STEPS_PER_OCTAVE = 4
ROOTS = np.array([1.0, 1.189207115002721, 1.4142135623730951, 1.681792830507429])  # 2^(i/4): no libm decides a bit


@dataclass(frozen=True)
class Product:
    """The measurement of one product's input."""

    exponents: NDArray[np.int8]  # [k] smoothing factors as quarters of an octave
    peak: float  # the largest magnitude once each channel is divided by its factor

    @property
    def factors(self) -> NDArray[np.float64]:
        """The number each channel is divided by, float64 [k]."""
        octaves, roots = np.divmod(self.exponents.astype(np.int64), STEPS_PER_OCTAVE)
        factors: NDArray[np.float64] = np.ldexp(ROOTS[roots], octaves)
        return factors


@dataclass(frozen=True)
class Calibration:
    """The measurements of one model by product; empty for a model that was never measured."""

    products: dict[str, Product] = field(default_factory=dict)

    @classmethod
    def load(cls, name: str) -> Calibration:
        """Read the measurements that ship with a model.

        Raises:
            ArtifactError: none ship under this name.
        """
        path = FOLDER / f"{name}.json"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.json")))
            raise ArtifactError(f"no calibration {name!r} ships with this project; there is: {known}")
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls({key: _decode(value) for key, value in document["products"].items()})

    def dump(self, path: Path, provenance: str) -> None:
        """Write the measurements and where they come from."""
        products = {
            name: {"peak": product.peak, "exponents": base64.b64encode(product.exponents.tobytes()).decode()}
            for name, product in self.products.items()
        }
        document = {"provenance": provenance, "products": products}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _decode(entry: dict[str, Any]) -> Product:
    return Product(np.frombuffer(base64.b64decode(entry["exponents"]), np.int8), float(entry["peak"]))


def measured(maxima: NDArray[np.float32], weight: NDArray[np.float32], strength: float) -> Product:
    """Choose smoothing factors ``maxima^a / |weights|^(1 - a)``, SmoothQuant's equation 4.

    Args:
        maxima: [k] the largest magnitude seen in each channel.
        weight: [k, m].
        strength: SmoothQuant's a, 0..1: how much of an outlier moves into the weights.
    """
    reach = np.maximum(np.abs(weight).max(axis=1), 1e-5).astype(np.float64)
    highest = np.maximum(maxima, 1e-5).astype(np.float64)
    logarithms = strength * np.log2(highest) - (1 - strength) * np.log2(reach)
    steps = np.rint((logarithms - logarithms.mean()) * STEPS_PER_OCTAVE)
    exponents = np.clip(steps, -127, 127).astype(np.int8)
    product = Product(exponents, 1.0)
    return Product(exponents, float(np.float32((highest / product.factors).max())))


class ObservingLinear(FloatLinear):
    """float32 products that remember the inputs worth measuring."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        super().__init__("fp32")
        self.inputs: dict[str, tuple[Value, NDArray[np.float32]]] = {}

    def __call__(
        self,
        graph: GraphBuilder,
        x: Value,
        name: str,
        weight: NDArray[np.float32],
        *,
        bias: Vector | None = None,
        offset: Vector | None = None,
        residual: Value | None = None,
        origin: Origin = Origin.OTHER,
    ) -> Value:
        """See ``Linear``."""
        if origin is Origin.NORM:
            self.inputs[name] = (x, weight)
        return super().__call__(graph, x, name, weight, bias=bias, offset=offset, residual=residual, origin=origin)

    def calibration(self, runs: Iterable[dict[str, NDArray[np.float32]]], strength: float = 0.8) -> Calibration:
        """Turn the observed inputs of many runs, [rows, k] by value name, into a calibration."""
        maxima: dict[str, NDArray[np.float32]] = {}
        for run in runs:
            for name, (value, _) in self.inputs.items():
                highest = np.abs(run[value]).max(axis=0)
                maxima[name] = np.maximum(maxima[name], highest) if name in maxima else highest
        return Calibration({n: measured(maxima[n], weight, strength) for n, (_, weight) in self.inputs.items()})
