"""``embedserve rollback``: a model as it was before its last change."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from deployments.cli.console_reporter import console_reporter
from deployments.cli.operator_options import DASHBOARD, TIMEOUT_S, Dashboard, DryRun, NoCheck, Timeout, Url, Write


def rollback(
    model: Annotated[str, typer.Argument(help="whose routing and artifacts go back to before the last change")],
    no_check: NoCheck = False,
    dashboard: Dashboard = DASHBOARD,
    url: Url = None,
    dry_run: DryRun = False,
    write: Write = None,
    timeout: Timeout = TIMEOUT_S,
) -> None:
    """Undo the last change of a model; a second time undoes that."""
    from deployments.operator import operations
    from deployments.operator.document import artifacts, profile, routes, shrink_margin
    from deployments.operator.execute import Change, Options, execute
    from deployments.operator.lock import require_idle
    from deployments.operator.preflight import artifact_hash
    from deployments.operator.service import RunningService

    service = RunningService(dashboard, url)
    current = service.read()
    require_idle(current)
    past = operations.past_of(current, model)
    here = artifacts(current, model)
    changed = {f"{model}@{v}": artifact for v, artifact in past["artifacts"].items() if here.get(v) != artifact}
    target = operations.rollback(current, model, past)
    hashes: dict[str, str | None] = dict.fromkeys(changed)
    if not no_check:
        with console_reporter() as reporter:
            for reference, artifact in changed.items():
                margin = shrink_margin(target, reference)
                hashes[reference] = artifact_hash(reference, artifact, profile(current), reporter, margin)
    listed = routes(current, model)["versions"]
    routed = {f"{model}@{v}" for v, weight in past["versions"].items() if weight > 0 and v in listed}
    operation = partial(operations.rollback, model=model, past=past)
    change = Change(f"rollback {model}", model, operation, hashes, frozenset(routed - changed.keys()))
    execute(Console(), service, current, change, Options(dry_run, write, timeout))
