"""``embedserve route``: how traffic is shared between versions."""

from __future__ import annotations

from functools import partial

from rich.console import Console

from deployments.operator import operations
from deployments.operator.execute import Change, Options, execute
from deployments.operator.service import Cluster
from models.errors import ConfigError


def route(console: Console, model: str, weights: list[str], shadow: list[str], options: Options) -> None:
    """Set the weights of a model's versions, those that are not named to 0, and the percentage of shadow traffic.

    Raises:
        EmbedserveError: it was refused, another operator was faster, or it was undone.
    """
    shares, shadows = parse(weights), parse(shadow)
    if not shares and not shadows:
        raise ConfigError("name at least one version with its weight, such as 1.0.0=90 1.1.0=10")
    cluster = Cluster(options.dashboard, options.url)
    routed = frozenset(f"{model}@{v}" for v, share in [*shares.items(), *shadows.items()] if share > 0)
    words = [*weights, *(f"--shadow {pair}" for pair in shadow)]
    operation = partial(operations.route, model=model, weights=shares, shadow=shadows)
    change = Change(f"route {model} {' '.join(words)}", model, operation, routed=routed)
    execute(console, cluster, cluster.read(), change, options)


def parse(pairs: list[str]) -> dict[str, float]:
    """``VERSION=NUMBER`` pairs as a mapping.

    Raises:
        ConfigError: a pair is none, or a version is named twice.
    """
    result: dict[str, float] = {}
    for pair in pairs:
        version, _, number = pair.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1
        if not version or not 0 <= value <= 1000:
            raise ConfigError(f"{pair!r} must be VERSION=NUMBER with a number from 0 to 1000, such as 1.1.0=10")
        if version in result:
            raise ConfigError(f"version {version} is named twice")
        result[version] = int(value) if value.is_integer() else value
    return result
