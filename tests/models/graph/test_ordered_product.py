"""What is folded into a graph has the same bits whatever processor it was built on."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from models.graph.ordered_product import ordered_product

PROGRAM = """
import hashlib, sys
import numpy as np
from models.graph.ordered_product import ordered_product
chance = np.random.default_rng(7)
vector, matrix = chance.random(384), chance.random((1536, 384), np.float32).T
product = ordered_product(vector, matrix) if sys.argv[1] == "ordered" else vector @ matrix.astype(np.float64)
print(hashlib.sha256(product.tobytes()).hexdigest())
"""
PROCESSORS = (
    "Prescott",
    "Nehalem",
    "Haswell",
    "SkylakeX",
)  # whose kernels OpenBLAS can be told to take, where it has them


def digests(way: str) -> set[str]:
    """Of one product as each processor computes it; one that this machine cannot be does not count."""
    found = set()
    for name in PROCESSORS:
        command = [sys.executable, "-c", PROGRAM, way]
        done = subprocess.run(
            command, env={**os.environ, "OPENBLAS_CORETYPE": name}, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            found.add(done.stdout.strip())
    return found


def test_a_product_that_is_folded_into_a_graph_is_the_same_on_every_processor() -> None:
    if len(digests("by BLAS")) < 2:
        pytest.skip("this machine's BLAS has one order of summing, which would prove nothing")
    assert len(digests("ordered")) == 1


def test_it_is_the_product() -> None:
    chance = np.random.default_rng(7)
    vector, matrix = chance.random(64, np.float32), chance.random((64, 16), np.float32)
    np.testing.assert_allclose(ordered_product(vector, matrix), vector.astype(np.float64) @ matrix, rtol=1e-12)
