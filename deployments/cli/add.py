"""``embedserve add``: one more version of a model beside the others, without traffic yet."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from deployments.cli import operator_options as options
from deployments.cli.carry_out import carry_out
from deployments.cli.connect import connect
from deployments.cli.console_reporter import console_reporter
from deployments.cli.json_output import AsJson


def add(
    reference: Annotated[str, typer.Argument(help="name@version of the catalogue")],
    no_check: options.NoCheck = False,
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
    """Deploy one more version of a model beside the others, with weight 0."""
    from deployments.operator import operations
    from deployments.operator.change import Change, Options
    from deployments.operator.document import profile, routes, shrink_margin, split
    from deployments.operator.lock import require_idle
    from deployments.operator.preflight import artifact_hash

    model, _ = split(reference)
    service = connect(dashboard, url, kube, namespace, rayservice)
    current = service.read()
    require_idle(current)
    routes(current, model)  # refuses a model that is not served, before anything is downloaded
    margin = shrink_margin(operations.add(current, reference), reference)
    digest = None
    if not no_check:
        with console_reporter() as reporter:
            digest = artifact_hash(reference, reference, profile(current), reporter, margin)
    change = Change(f"add {reference}", model, partial(operations.add, reference=reference), {reference: digest})
    carry_out(service, current, change, Options(dry_run, write, timeout, verbose=verbose), as_json=as_json)
