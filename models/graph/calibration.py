"""Measurements on real inputs that int8 graphs use: the outlier channels, and the range of quantised rows.

Those of the shipped models are in ``calibrations/``, so that a version builds to the same bytes everywhere.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ArtifactError
from models.files import below

FOLDER = Path(__file__).with_name("calibrations")
STEPS_PER_OCTAVE = 4
# 2^(i/4), written out because libm may differ in the last bit.
ROOTS = np.array([1.0, 1.189207115002721, 1.4142135623730951, 1.681792830507429])


@dataclass(frozen=True)
class Product:
    """How one product's input is quantised."""

    exponents: NDArray[np.int8]  # [k], smoothing factors as powers of 2^(1/4)
    step: float  # of the quantised rows, after each channel is divided by its factor; 0: scale each row by its maximum
    centre: int  # the quantised value that stands for 0

    @property
    def factors(self) -> NDArray[np.float64]:
        """The number that each channel is divided by, float64 [k]."""
        octaves, roots = np.divmod(self.exponents.astype(np.int64), STEPS_PER_OCTAVE)
        factors: NDArray[np.float64] = np.ldexp(ROOTS[roots], octaves)
        return factors


@dataclass(frozen=True)
class Calibration:
    """The measurements of one model, by product; empty for a model that was not measured."""

    products: dict[str, Product] = field(default_factory=dict)

    @classmethod
    def load(cls, name: str) -> Calibration:
        """Read the measurements that ship with a model.

        Raises:
            ConfigError: it is no name of a file.
        ArtifactError: there are none of this name; the message lists those that exist.
        """
        path = below(FOLDER, f"{name}.json")
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.json")))
            raise ArtifactError(f"no calibration {name!r} ships with this project; there is: {known}")
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls({key: _decode(value) for key, value in document["products"].items()})

    def dump(self, path: Path, provenance: str) -> None:
        """Write the measurements, and ``provenance``: where they come from."""
        products = {name: _encode(product) for name, product in self.products.items()}
        document = {"provenance": provenance, "products": products}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _encode(product: Product) -> dict[str, Any]:
    exponents = base64.b64encode(product.exponents.tobytes()).decode()
    return {"step": product.step, "centre": product.centre, "exponents": exponents}


def _decode(entry: dict[str, Any]) -> Product:
    exponents = np.frombuffer(base64.b64decode(entry["exponents"]), np.int8)
    return Product(exponents, float(entry["step"]), int(entry["centre"]))
