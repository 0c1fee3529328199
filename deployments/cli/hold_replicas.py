"""``embedserve hold-replicas``: what a new cluster must start with, so that its first minute is not its worst."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deployments.cli.json_output import AsJson, print_json
from deployments.cli.operator_options import DASHBOARD, Dashboard, DryRun


def hold_replicas(
    file: Annotated[
        Path,
        typer.Argument(
            help="the configuration of the new cluster: a Serve file, a RayService manifest, or a kustomize folder"
        ),
    ],
    dashboard: Dashboard = DASHBOARD,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Before an upgrade of the cluster, write the numbers of replicas that run now into FILE as the least and the first.

    Apply FILE with the upgrade, and FILE as it was when the old cluster is gone. The running service is only asked.
    """
    from deployments.cluster.serve_api import ServeApi
    from deployments.operator.hold import hold, live_counts
    from deployments.operator.plan import coloured
    from deployments.operator.yaml_file import YamlFile
    from models.errors import ConfigError
    from models.files import write_whole

    console = Console(stderr=as_json)
    counts = live_counts(ServeApi(dashboard).details())
    if not counts:
        raise ConfigError(f"nothing is deployed at {dashboard}, so there is nothing to hold")
    changed = YamlFile.changed(file, partial(hold, counts=counts))
    if not changed.diff():
        console.print("nothing to change: no deployment has more replicas than its least")
    console.print(coloured(changed.diff()), end="")
    wrote = bool(changed.diff()) and not dry_run
    if wrote:
        try:
            write_whole(changed.path, changed.after.encode(), before=changed.read)
        except OSError as error:
            raise ConfigError(f"{changed.path} cannot be written: {error}") from error
        console.print(
            f"wrote {escape(str(changed.path))}" + (f"; {changed.note}" if changed.note else ""), highlight=False
        )
    if as_json:
        held = {"/".join(name): count for name, count in counts.items()}
        diff = "\n".join(changed.diff())
        print_json({"replicas": held, "diff": diff, "wrote": str(changed.path) if wrote else None})
