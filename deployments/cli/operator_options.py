"""The options that every command which changes a running service takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DASHBOARD = "http://127.0.0.1:8265"  # where a Ray that was started with its defaults has its dashboard
DASHBOARD_VARIABLE = "RAY_DASHBOARD_ADDRESS"  # as Ray's own commands read it
TIMEOUT_S = 120.0

Dashboard = Annotated[str, typer.Option(envvar=DASHBOARD_VARIABLE, help="Ray's dashboard, which has Serve's REST API")]
URL_VARIABLE = "EMBEDSERVE_URL"
LOCAL = "http://127.0.0.1:8000"  # where a service on this machine answers
Url = Annotated[
    str | None, typer.Option(envvar=URL_VARIABLE, help="the service; found on the dashboard's host when left out")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="check, show the plan, and change nothing")]
Verbose = Annotated[bool, typer.Option("--verbose", help="show the change as a diff of the whole configuration")]
Write = Annotated[
    Path | None,
    typer.Option(help="make the same change in this serve_config.yaml, RayService manifest or kustomize folder"),
]
Kube = Annotated[
    bool | None,
    typer.Option(
        "--kube/--no-kube",
        help="change the RayService, so that KubeRay keeps the change; --no-kube changes Serve behind KubeRay's back",
        show_default=False,
    ),
]
Namespace = Annotated[str | None, typer.Option(help="of the RayService; with --kube, the credentials' own if left out")]
RayService = Annotated[str | None, typer.Option(help="its name; with --kube, the only one there if left out")]
Timeout = Annotated[float, typer.Option(min=1, help="seconds each step has to get healthy, else all goes back")]
RequireCoverage = Annotated[
    str | None,
    typer.Option(help="SINK:PERCENT: refuse before this share of a backfill's rows stands at the version"),
]
CoverageState = Annotated[str | None, typer.Option(help="the folder of that backfill's notes, if not beside the sink")]
NoCheck = Annotated[bool, typer.Option("--no-check", help="the artifact is on the cluster's nodes only: try it there")]
