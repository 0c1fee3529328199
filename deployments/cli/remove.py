"""``embedserve remove``: a version goes, once the gateway no longer uses it."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from deployments.cli import operator_options as options
from deployments.cli.carry_out import carry_out
from deployments.cli.connect import connect
from deployments.cli.json_output import AsJson


def remove(
    reference: Annotated[str, typer.Argument(help="name@version")],
    drain: Annotated[bool, typer.Option("--drain", help="give its traffic to the other versions first")] = False,
    drain_time: Annotated[float, typer.Option(help="seconds that requests under way have to finish")] = 5,
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
    """Take a version away without losing a request."""
    from deployments.operator import operations
    from deployments.operator.change import Change, Options
    from deployments.operator.document import split

    model, _ = split(reference)
    service = connect(dashboard, url, kube, namespace, rayservice)
    operation = partial(operations.remove, reference=reference, drain=drain)
    change = Change(f"remove {reference}{' --drain' if drain else ''}", model, operation)
    carry_out(
        service, service.read(), change, Options(dry_run, write, timeout, drain_time, verbose=verbose), as_json=as_json
    )
