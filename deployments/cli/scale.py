"""``embedserve scale``: how few and how many workers a RayService has."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.cli.json_output import AsJson, print_json
from deployments.cli.operator_options import Namespace, RayService


def scale(
    workers: Annotated[list[str], typer.Option("--workers", help="GROUP=MIN:MAX, such as cpu=2:8; may be repeated")],
    namespace: Namespace = None,
    rayservice: RayService = None,
    as_json: AsJson = False,
) -> None:
    """Change the bounds of worker groups, in the RayService and in the cluster that runs."""
    from deployments.cli.connect import connect_kube
    from deployments.operator.kube.api import KubeApi
    from deployments.operator.kube.scale import Bounds
    from deployments.operator.kube.scale import scale as change

    wanted = [Bounds.parse(text) for text in workers]
    service = connect_kube(None, namespace, rayservice)
    lines = change(KubeApi(namespace), service.name, wanted)
    if as_json:
        print_json({"rayservice": service.name, "changes": lines})
        return
    for line in lines:
        typer.echo(line)
