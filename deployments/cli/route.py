"""``embedserve route``: how traffic is shared between versions."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from deployments.cli import operator_options as options
from deployments.cli.carry_out import carry_out
from deployments.cli.connect import connect
from deployments.cli.json_output import AsJson
from models.errors import ConfigError


def route(
    model: Annotated[str, typer.Argument(help="whose traffic")],
    weights: Annotated[list[str] | None, typer.Argument(help="VERSION=WEIGHT ...; the others get 0")] = None,
    shadow: Annotated[list[str] | None, typer.Option(help="VERSION=PERCENT of requests also copied to it")] = None,
    dashboard: options.Dashboard = options.DASHBOARD,
    url: options.Url = None,
    dry_run: options.DryRun = False,
    verbose: options.Verbose = False,
    write: options.Write = None,
    timeout: options.Timeout = options.TIMEOUT_S,
    kube: options.Kube = None,
    namespace: options.Namespace = None,
    rayservice: options.RayService = None,
    as_json: AsJson = False,
) -> None:
    """Share a model's traffic between its versions."""
    from deployments.operator import operations
    from deployments.operator.change import Change, Options

    shares, shadows = parse(weights or []), parse(shadow or [])
    if not shares and not shadows:
        raise ConfigError("name at least one version with its weight, such as 1.0.0=90 1.1.0=10")
    service = connect(dashboard, url, kube, namespace, rayservice)
    routed = frozenset(f"{model}@{v}" for v, share in [*shares.items(), *shadows.items()] if share > 0)
    words = [*(weights or []), *(f"--shadow {pair}" for pair in shadow or [])]
    operation = partial(operations.route, model=model, weights=shares, shadow=shadows)
    change = Change(f"route {model} {' '.join(words)}", model, operation, routed=routed)
    carry_out(service, service.read(), change, Options(dry_run, write, timeout, verbose=verbose), as_json=as_json)


def parse(pairs: list[str]) -> dict[str, float]:
    """``VERSION=NUMBER`` pairs as a mapping.

    Raises:
        ConfigError: a pair is malformed, or a version is named twice.
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
