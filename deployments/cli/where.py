"""Where the service is that a command only asks: by its URL, by Ray's dashboard, or as the environment says."""

from __future__ import annotations

import os

from deployments.cli.operator_options import DASHBOARD_VARIABLE, URL_VARIABLE

LOCAL = "http://127.0.0.1:8000"
URL_HELP = f"the service; if left out the dashboard's, {URL_VARIABLE}, what {DASHBOARD_VARIABLE} leads to, or {LOCAL}"


def url_of(url: str | None, dashboard: str | None) -> str:
    """The service's URL. What was typed goes before the environment, and a URL before a dashboard.

    Raises:
        ClusterError: no Serve answers at the dashboard.
    """
    if url is not None:
        return url
    if dashboard is None and (named := os.environ.get(URL_VARIABLE)):
        return named
    dashboard = dashboard or os.environ.get(DASHBOARD_VARIABLE)
    return LOCAL if not dashboard else url_behind(dashboard)


def url_behind(dashboard: str) -> str:
    """The URL of the service that runs on the Ray of a dashboard.

    Raises:
        ClusterError: no Serve answers there.
    """
    from deployments.operator.service import RunningService

    service = RunningService(dashboard)
    return service.url(service.read())
