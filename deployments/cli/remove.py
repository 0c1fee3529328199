"""``embedserve remove``: a version goes, once the gateway no longer uses it."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from deployments.cli.connect import connect
from deployments.cli.operator_options import (
    DASHBOARD,
    TIMEOUT_S,
    Dashboard,
    DryRun,
    Kube,
    Namespace,
    RayService,
    Timeout,
    Url,
    Write,
)


def remove(
    reference: Annotated[str, typer.Argument(help="name@version")],
    drain: Annotated[bool, typer.Option("--drain", help="give its traffic to the other versions first")] = False,
    drain_time: Annotated[float, typer.Option(help="seconds that requests under way have to finish")] = 5,
    dashboard: Dashboard = DASHBOARD,
    url: Url = None,
    dry_run: DryRun = False,
    write: Write = None,
    timeout: Timeout = TIMEOUT_S,
    kube: Kube = None,
    namespace: Namespace = None,
    rayservice: RayService = None,
) -> None:
    """Take a version away without losing a request."""
    from deployments.operator import operations
    from deployments.operator.document import split
    from deployments.operator.execute import Change, Options, execute

    model, _ = split(reference)
    service = connect(dashboard, url, kube, namespace, rayservice)
    operation = partial(operations.remove, reference=reference, drain=drain)
    change = Change(f"remove {reference}{' --drain' if drain else ''}", model, operation)
    execute(Console(), service, service.read(), change, Options(dry_run, write, timeout, drain_time))
