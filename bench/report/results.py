"""What was measured: a load on a target, and the overload."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.loads.open_loop import OpenResult
from bench.report.stats import median


@dataclass
class Cell:
    """All rounds of one load on one target."""

    load: str
    target: str
    rates: list[float] = field(default_factory=list)  # texts or pictures per second
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    failed: int = 0
    generator_cpu: list[float] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)  # cores by the processes' names, of the last round
    probes: int = 0  # inputs sent along whose vectors are known
    identical: int = 0  # of their answers: those with the same bits
    least_cosine: float = 1.0
    unanswered: int = 0  # probes without a good answer
    uncounted: list[int] = field(default_factory=list)  # requests that the server counted and wrk did not
    others: list[float] = field(default_factory=list)  # cores of everything else on the machine, of each round
    cost_ms: list[float] = field(default_factory=list)  # processor time of the system's processes for a request
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """The median of the rounds."""
        return median(self.rates)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        medians = {"rate": self.rate, "p50": median(self.p50_ms), "p99": median(self.p99_ms)}
        return {**asdict(self), "medians": {k: None if math.isnan(v) else v for k, v in medians.items()}}


@dataclass(frozen=True)
class Overload:
    """An open loop with more requests than the target can answer."""

    target: str
    sustainable: float  # requests per second
    most: float  # the best goodput of all steps
    unloaded: OpenResult
    steps: list[tuple[float, OpenResult]]  # of the search for the sustainable rate: requests per second, answers
    overload: OpenResult

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
