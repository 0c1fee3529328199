"""Fits maps to one half of a sample and measures them on the other, against an index that nobody embeds again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.align.linear_fits import Ridge, procrustes
from models.align.recall import Found, Share, neighbours, own_first, recall
from models.align.residual_fit import closeness, residual
from models.engine.types import Vectors
from models.errors import ArtifactError
from models.graph.space_map import SpaceMap

SMALLEST = 200  # inputs: of fewer, a recall says next to nothing
STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)  # of the penalty, as a share of a dimension's mean variance
RANKS = (0.25, 0.5, 0.75)  # of the smaller number of dimensions
JUDGES = 5  # one in so many of the fitting half decides between strengths, ranks and methods
QUERIES = 2000  # of the other half that are asked: an interval of about ±0.01
SURE = 2.0  # standard errors by which the network has to be better than the best linear map
METHODS = ("procrustes", "affine", "low-rank", "residual")


@dataclass(frozen=True)
class Measured:
    """What new queries find, on inputs that no map was fitted to."""

    name: str
    old: Share  # recall@10 against what the old version finds in its own index
    again: Share | None  # the same against what a full re-embedding finds; None for that one itself
    first: Share  # how often an input's own vector in the index is the nearest


@dataclass(frozen=True)
class Alignment:
    """The map that is best, and what all of them are worth."""

    method: str
    mapping: SpaceMap
    rows: list[Measured]  # no map (where dimensions agree), each method, a full re-embedding
    fitted: int  # inputs that maps were fitted to
    held_out: int
    queries: int

    @property
    def chosen(self) -> Measured:
        """What the chosen method is worth."""
        return next(row for row in self.rows if row.name == self.method)


def align(new: Vectors, old: Vectors, seed: int = 0, method: str | None = None) -> Alignment:
    """Find a map of ``new`` into the space of ``old``.

    Args:
        new: unit vectors [n, k] of distinct inputs.
        old: unit vectors [n, m] of the same inputs.
        seed: of the halves and of the network's training.
        method: one of ``METHODS``; None for the best.

    Raises:
        ArtifactError: there are too few inputs.
    """
    if len(new) < SMALLEST:
        raise ArtifactError(
            f"the sample has {len(new)} different inputs; {SMALLEST} are the least, thousands are better"
        )
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(new))
    half = np.sort(order[: len(order) // 2])
    other = np.sort(order[len(order) // 2 :])
    maps, best = _fitted(new[half], old[half], seed)
    queries = np.arange(len(other))
    if len(queries) > QUERIES:
        queries = np.sort(np.random.Generator(np.random.PCG64(seed + 1)).choice(len(other), QUERIES, replace=False))
    rows = _measured(maps, new[other], old[other], queries)
    chosen = method or best
    return Alignment(chosen, maps[chosen], rows, len(half), len(other), len(queries))


def _fitted(new: Vectors, old: Vectors, seed: int) -> tuple[dict[str, SpaceMap], str]:
    """A map of each method, and the name of the best by inputs that it was not fitted to."""
    judges = np.arange(len(new)) % JUDGES == 0
    pairs, kept_back = (new[~judges], old[~judges]), (new[judges], old[judges])
    trial, whole = Ridge(*pairs), Ridge(new, old)
    strength = max(STRENGTHS, key=lambda one: closeness(trial.affine(one), *kept_back))
    smaller = min(new.shape[1], old.shape[1])
    ranks = [max(1, round(share * smaller)) for share in RANKS]
    rank = max(ranks, key=lambda one: closeness(trial.low_rank(strength, one), *kept_back))
    network = residual(trial.affine(strength), pairs, kept_back, seed)
    trials = {
        "procrustes": procrustes(*pairs),
        "affine": trial.affine(strength),
        "low-rank": trial.low_rank(strength, rank),
    }
    best = _best({**trials, "residual": network}, new, old, np.flatnonzero(judges))
    maps = {
        "procrustes": procrustes(new, old),
        "affine": whole.affine(strength),
        "low-rank": whole.low_rank(strength, rank),
        "residual": network,
    }
    return maps, best


def _best(maps: dict[str, SpaceMap], new: Vectors, old: Vectors, judges: NDArray[np.int64]) -> str:
    """The method whose queries find most; the network only where it is surely better than the best linear one."""
    truth = neighbours(old[judges], old, judges)
    values = {name: recall(neighbours(one(new[judges]), old, judges), truth) for name, one in maps.items()}
    linear = max((name for name in maps if name != "residual"), key=lambda name: values[name].mean())
    gain = Share.of(values["residual"] - values[linear])
    return "residual" if gain.mean > SURE * gain.error else linear


def _measured(maps: dict[str, SpaceMap], new: Vectors, old: Vectors, queries: NDArray[np.int64]) -> list[Measured]:
    truth = neighbours(old[queries], old, queries)
    again = neighbours(new[queries], new, queries)

    def row(name: str, asked: Vectors, index: Vectors, other: Found | None) -> Measured:
        found = neighbours(asked, index, queries)
        against = None if other is None else Share.of(recall(found, other))
        first = Share.of(own_first(asked, index, queries))
        return Measured(name, Share.of(recall(found, truth)), against, first)

    ways: dict[str, Callable[[Vectors], Vectors]] = (
        {"no map": lambda vectors: vectors} if new.shape[1] == old.shape[1] else {}
    )
    rows = [row(name, way(new[queries]), old, again) for name, way in (ways | maps).items()]
    return [*rows, row("full re-embedding", new[queries], new, None)]
