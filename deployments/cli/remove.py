"""``embedserve remove``: a version goes, once the gateway no longer uses it."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from deployments.cli import operator_options as options
from deployments.cli.connect import connect


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
) -> None:
    """Take a version away without losing a request."""
    from deployments.operator import operations
    from deployments.operator.change import Change, Options
    from deployments.operator.document import split
    from deployments.operator.execute import execute

    model, _ = split(reference)
    service = connect(dashboard, url, kube, namespace, rayservice)
    operation = partial(operations.remove, reference=reference, drain=drain)
    change = Change(f"remove {reference}{' --drain' if drain else ''}", model, operation)
    execute(Console(), service, service.read(), change, Options(dry_run, write, timeout, drain_time, verbose=verbose))
