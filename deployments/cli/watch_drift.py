"""``embedserve watch-drift``: a gauge that says whether Serve runs what its RayService says."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from deployments.cli.operator_options import URL_VARIABLE, Namespace, RayService


def watch_drift(
    rayservice: RayService = None,
    namespace: Namespace = None,
    url: Annotated[
        str | None, typer.Option(envvar=URL_VARIABLE, help="the service; found inside the cluster when left out")
    ] = None,
    dashboard: Annotated[str | None, typer.Option(help="of Ray, to compare all of the configuration")] = None,
    host: Annotated[str, typer.Option(help="address of this machine that Prometheus asks")] = "0.0.0.0",
    port: Annotated[int, typer.Option(help="where Prometheus asks for /metrics")] = 9102,
    interval: Annotated[float, typer.Option(min=0.1, help="seconds between two looks")] = 30,
) -> None:
    """Compare a RayService with what Serve runs, again and again, and export it for Prometheus; until Ctrl-C or TERM.

    It only reads: the RayService, and the service's /v1/models, with the key in EMBEDSERVE_API_KEY where it asks for one.
    """
    from prometheus_client import start_http_server

    from deployments.cli.connect import connect_kube
    from deployments.operator.kube.drift_gauge import DriftGauge
    from models.errors import ConfigError

    name = rayservice or connect_kube(url, namespace, None).name
    gauge = DriftGauge(name, lambda: connect_kube(url, namespace, name), dashboard)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # in a container nobody else would end it
        signal.signal(number, lambda *_: ended.set())
    try:
        start_http_server(port, host, gauge.registry)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}; --port and --host name another"
        ) from error
    while not ended.is_set():
        gauge.look()
        ended.wait(interval)
