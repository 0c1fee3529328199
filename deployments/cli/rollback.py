"""``embedserve rollback``: a model as it was before its last change."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from deployments.cli import operator_options as options
from deployments.cli.carry_out import carry_out
from deployments.cli.connect import connect, connect_kube
from deployments.cli.console_reporter import console_reporter
from deployments.cli.json_output import AsJson
from models.errors import ConfigError


def rollback(
    model: Annotated[str, typer.Argument(help="whose routing and artifacts go back to before the last change")],
    no_check: options.NoCheck = False,
    steps: Annotated[int | None, typer.Option(min=1, help="so many changes of the model back; with --kube")] = None,
    to: Annotated[int | None, typer.Option(help="as in this revision of `embedserve history`; with --kube")] = None,
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
    """Undo the last change of a model; a second time undoes that."""
    from deployments.operator import operations
    from deployments.operator.change import Change, Options
    from deployments.operator.document import artifacts, profile, routes, shrink_margin, split
    from deployments.operator.kube.past import past_by_history
    from deployments.operator.lock import require_idle
    from deployments.operator.preflight import artifact_hash

    if (steps or to) and not kube:
        raise ConfigError("--steps and --to need the history that --kube keeps; without it one step back is remembered")
    if steps and to:
        raise ConfigError("--steps and --to say the same in two ways; use one")
    service = connect_kube(url, namespace, rayservice) if kube else None
    target = service or connect(dashboard, url, kube, namespace, rayservice)
    current = target.read()
    require_idle(current)
    past = past_by_history(service.revisions(), model, steps, to) if service else operations.past_of(current, model)
    here = artifacts(current, model)
    changed = {f"{model}@{v}": artifact for v, artifact in past["artifacts"].items() if here.get(v) != artifact}
    planned = operations.rollback(current, model, past)
    hashes: dict[str, str | None] = {name: past.get("hashes", {}).get(split(name)[1]) for name in changed}
    if not (no_check or service):  # what a RayService's history holds was served: no need of the files here
        with console_reporter() as reporter:
            for reference, artifact in changed.items():
                margin = shrink_margin(planned, reference)
                hashes[reference] = artifact_hash(reference, artifact, profile(current), reporter, margin)
    listed = routes(current, model)["versions"]
    routed = {f"{model}@{v}" for v, weight in past["versions"].items() if weight > 0 and v in listed}
    operation = partial(operations.rollback, model=model, past=past)
    words = f" --steps {steps}" if steps else f" --to {to}" if to else ""
    change = Change(f"rollback {model}{words}", model, operation, hashes, frozenset(routed - changed.keys()))
    carry_out(target, current, change, Options(dry_run, write, timeout, verbose=verbose), as_json=as_json)
