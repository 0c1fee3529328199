"""Which version answers a request: pure functions of weights and keys, the same in a gateway, a command and a notebook."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping
from typing import Literal, NamedTuple

from deployments.config.routes import ModelRoutes

How = Literal["weight", "override", "pin", "fallback"]


class Choice(NamedTuple):
    """A version of a model, and why that one."""

    version: str
    how: How  # pin: the request named the version; fallback: the chosen one took no requests


def choose(weights: Mapping[str, float], key: str | None = None) -> str:
    """Pick a version in proportion to its weight.

    With a key the choice is weighted rendezvous hashing (Thaler & Ravishankar 1998; weights after Schindelhauer &
    Schomaker 2005): the same key stays with its version on every gateway and after every restart, and a changed
    weight moves only the keys that it must. Without a key every request is drawn anew.

    Args:
        weights: version to weight, at least one above 0.
        key: whom the answer must stay the same for.
    """
    if len(weights) == 1:
        return next(iter(weights))
    candidates = {version: weight for version, weight in weights.items() if weight > 0}
    if len(candidates) == 1:
        return next(iter(candidates))
    if key is None:
        return random.choices(list(candidates), weights=list(candidates.values()))[0]
    return max(candidates, key=lambda version: _score(key, version, candidates[version]))


def _score(key: str, version: str, weight: float) -> float:
    digest = hashlib.blake2b(f"{version}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    uniform = (int.from_bytes(digest, "big") + 0.5) / 2**64  # in (0, 1), never at its ends
    return weight / -math.log(uniform)


def route(routes: ModelRoutes, key: str | None, headers: Mapping[str, str]) -> Choice:
    """The version that answers a request which pinned none: an override that matches, else by weight."""
    for override in routes.overrides:
        if override.header is None:
            if key is not None and override.key == key:
                return Choice(override.version, "override")
        elif headers.get(override.header) == override.value:
            return Choice(override.version, "override")
    return Choice(choose(routes.versions, key), "weight")


def experiment(model: str, routes: ModelRoutes) -> str:
    """The name of what splits a model's traffic now: another one after any change of weights or overrides."""
    weighed = {version: weight for version, weight in sorted(routes.versions.items()) if weight > 0}
    total = sum(weighed.values())
    split = [(version, round(weight / total, 9)) for version, weight in weighed.items()]
    overrides = [override.model_dump() for override in routes.overrides]
    text = json.dumps([split, overrides], sort_keys=True)
    return f"{model}/{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
