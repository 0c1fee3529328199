"""``embedserve promote``: one version takes all traffic."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from deployments.cli import operator_options as options
from deployments.cli.carry_out import carry_out
from deployments.cli.connect import connect
from deployments.cli.json_output import AsJson


def promote(
    reference: Annotated[str, typer.Argument(help="name@version")],
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
    require_coverage: options.RequireCoverage = None,
    coverage_state: options.CoverageState = None,
) -> None:
    """Give a version all traffic of its model."""
    from deployments.operator import operations
    from deployments.operator.change import Change, Options
    from deployments.operator.document import split

    if require_coverage is not None:
        from deployments.backfill.extras import require_data

        require_data()
    model, _ = split(reference)
    service = connect(dashboard, url, kube, namespace, rayservice)
    if require_coverage is not None:
        from deployments.backfill import coverage

        hash_ = coverage.hash_of(reference, service.url(service.read()))
        coverage.require(require_coverage, reference, hash_, coverage_state)
    operation = partial(operations.promote, reference=reference)
    change = Change(f"promote {reference}", model, operation, routed=frozenset({reference}))
    carry_out(service, service.read(), change, Options(dry_run, write, timeout, verbose=verbose), as_json=as_json)
