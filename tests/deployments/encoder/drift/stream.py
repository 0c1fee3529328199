"""Streams of inputs as drift sees them: clients that come in bursts, each about things of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deployments.encoder.drift.watch import EVERY_S
from deployments.encoder.drift.window import Traits

SIZE = 24  # dimensions
TOPICS = np.random.default_rng(5).normal(size=(60, SIZE))
BURST = 10  # inputs of one client, on average, one after the other


def steady(rng: np.random.Generator, longer: float = 1.0, language: float = 0.0) -> Iterator[tuple[Traits, np.ndarray]]:
    """Inputs without an end: texts ``longer`` times as long, of which a part is in another language."""
    while True:
        about, usual, foreign = TOPICS[rng.integers(len(TOPICS))], rng.normal(3.0, 0.5), rng.random() < language
        for _ in range(1 + rng.poisson(BURST - 1)):
            tokens = max(np.rint(np.exp(rng.normal(usual, 0.4)) * longer), 3)
            fit = rng.normal(2.0 if foreign else 4.5, 0.5)
            unknown = rng.binomial(int(tokens), 0.1 if foreign else 0.002) / tokens
            vector = about + rng.normal(size=SIZE) + (1.5 * TOPICS[0] if foreign else 0)
            traits = {"tokens": tokens, "characters_per_token": fit, "unknown": unknown}
            yield traits, (vector / np.linalg.norm(vector)).astype(np.float32)


def seconds(inputs: int) -> float:
    """How long that many inputs take where there is traffic enough."""
    return inputs * EVERY_S
