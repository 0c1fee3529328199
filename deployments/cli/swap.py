"""``embedserve swap``: another artifact under the same label, without a restart."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from deployments.cli import operator_options as options
from deployments.cli.carry_out import carry_out
from deployments.cli.connect import connect
from deployments.cli.console_reporter import console_reporter
from deployments.cli.json_output import AsJson


def swap(
    reference: Annotated[str, typer.Argument(help="the version that changes, name@version; its label stays")],
    to: Annotated[str, typer.Option(help="a version of the same model, name@version, or the path of a graph")],
    no_check: options.NoCheck = False,
    hash_: Annotated[
        str | None, typer.Option("--hash", help="the artifact's content hash, where --no-check leaves it unknown")
    ] = None,
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
    """Let a version load another artifact while it serves."""
    from deployments.operator import operations
    from deployments.operator.change import Change, Options
    from deployments.operator.document import profile, require_routed, shrink_margin, split
    from deployments.operator.lock import require_idle
    from deployments.operator.preflight import artifact_hash, artifact_name
    from models.errors import ArtifactError

    model, version = split(reference)
    artifact = artifact_name(model, to)
    service = connect(dashboard, url, kube, namespace, rayservice)
    current = service.read()
    require_idle(current)
    require_routed(current, model, version)
    margin = shrink_margin(current, reference)
    digest = hash_
    if not no_check:
        with console_reporter() as reporter:
            digest = artifact_hash(reference, artifact, profile(current), reporter, margin)
        if hash_ not in (None, digest):
            raise ArtifactError(f"{artifact} has content hash {digest}, --hash says {hash_}")
    operation = partial(operations.swap, reference=reference, artifact=artifact, digest=digest)
    change = Change(f"swap {reference} --to {to}", model, operation, {reference: digest})
    carry_out(service, current, change, Options(dry_run, write, timeout, verbose=verbose), as_json=as_json)
