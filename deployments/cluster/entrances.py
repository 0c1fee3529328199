"""Where a service is to answer: at the HAProxy of every node that runs replicas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2

from deployments.cluster.hosts import LOOPBACK, entrances
from deployments.cluster.serve_api import ServeApi
from deployments.cluster.serve_file import ServeConfig
from models.http_client import direct

ANSWER_S = 10.0
STARTING, HEALTHY = "STARTING", "HEALTHY"  # of an entrance, as Serve spells it
EVERY_NODE = "EveryNode"


@dataclass(frozen=True)
class NotReady:
    """Why a service is not ready at one of its entrances."""

    text: str
    reached: bool = True  # it answers


def ready_at(api: ServeApi, config: ServeConfig) -> tuple[str | None, list[str]]:
    """Where the service is ready, and why it is not at the entrances that are to be waited for.

    An entrance that cannot be reached from this machine keeps nobody waiting while another one is ready, and neither does one
    that Serve says is ill, or about to go.

    Raises:
        ClusterError: Serve does not answer.
    """
    if config.host in LOOPBACK:
        healthy, ill, coming = entrances(config.host, config.port, ()), [], []
    else:
        details = api.details()
        proxies = [proxy for proxy in details.get("proxies", {}).values() if proxy.get("node_ip")]
        healthy, ill = (
            entrances(
                config.host, config.port, [p["node_ip"] for p in proxies if (p.get("status") == HEALTHY) is wanted]
            )
            for wanted in (True, False)
        )
        coming = [f"the entrance of {p['node_ip']} is starting" for p in proxies if p.get("status") == STARTING]
        coming += _missing(details, config)
    found = {url: unready(url) for url in healthy}
    if None not in found.values():
        found |= {url: unready(url) for url in ill}
    ready = next((url for url, why in found.items() if why is None), None)
    heard = [why for url, why in found.items() if why and (ready is None or (url in healthy and why.reached))]
    return ready, coming + [why.text for why in heard]


def _missing(details: dict[str, Any], config: ServeConfig) -> list[str]:
    """Nodes that run replicas and have no entrance yet: each gets one a moment after its first replica."""
    if config.document.get("proxy_location", EVERY_NODE) != EVERY_NODE:
        return []
    deployments = [d for app in details.get("applications", {}).values() for d in app.get("deployments", {}).values()]
    replicas = [r for d in deployments for r in d.get("replicas", ()) if r.get("state") == "RUNNING"]
    nodes = {r["node_id"]: r.get("node_ip") for r in replicas if r.get("node_id")}
    proxies = details.get("proxies", {})
    return [f"{nodes[node] or node} has no entrance yet" for node in sorted(nodes) if node not in proxies]


def unready(url: str) -> NotReady | None:
    """Why the service at a base URL is not ready, by its own words; None where it says that it is."""
    try:
        with direct(timeout=ANSWER_S) as client:
            answer = client.get(f"{url}/health/ready")
        if answer.status_code == 200:
            return None
        return NotReady("; ".join(answer.json()["reasons"]) or f"{url} answers {answer.status_code}")
    except httpx2.HTTPError as error:
        return NotReady(f"nothing answers at {url} ({str(error) or type(error).__name__})", reached=False)
    except (ValueError, KeyError, TypeError):
        return NotReady(f"{url} answers {answer.status_code}, and not with what a gateway says")
