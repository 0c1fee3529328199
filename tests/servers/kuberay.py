"""KubeRay's operator as far as it touches a Serve configuration, step by step as its source has it.

After ``rayservice_controller.go`` of KubeRay 1.7: ``Reconcile``, ``reconcileServe``, ``checkIfNeedSubmitServeApplications``,
``updateServeDeployment`` and ``calculateStatus``, for a RayService with one active cluster. It compares
``spec.serveConfigV2`` with what it submitted last, which it keeps in memory only, and never with what Serve runs.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import yaml

from models.http_client import direct
from tests.servers.kubernetes import ADMIN_TOKEN, ApiServer
from tests.servers.serve_rest import ServeRest

REQUEUE_S = 0.03  # 2 s in KubeRay
PATH = "/apis/ray.io/v1/namespaces/embedserve/rayservices/embedserve"
APPLICATIONS = "/api/serve/applications/"


@dataclass
class KubeRay:
    """One operator pod and the cluster that it keeps."""

    api: ApiServer
    serve: ServeRest
    cache: dict[str, str] = field(default_factory=dict)  # cluster → serveConfigV2 that was submitted last
    passes: int = 0
    held: threading.Event = field(default_factory=threading.Event)  # cleared: the operator pod is down

    busy: threading.Lock = field(default_factory=threading.Lock)

    def pause(self) -> None:
        """Take the pod away, once its pass is over."""
        self.held.clear()
        with self.busy:
            return

    def restart(self) -> None:
        """Another pod takes over: memory is gone, the next passes follow."""
        self.cache = {}
        self.wait_for(3)

    def wait_for(self, passes: int) -> None:
        """Wait until so many whole passes are over."""
        until = self.passes + passes + 1
        while self.passes < until:
            threading.Event().wait(REQUEUE_S / 5)

    def reconcile(self, client: httpx2.Client) -> None:
        """One pass."""
        answer = client.get(PATH)
        if answer.status_code != 200:
            return
        service: dict[str, Any] = answer.json()
        before = copy.deepcopy(service.get("status") or {})
        status = service.setdefault("status", {})
        active = status.setdefault("activeServiceStatus", {"rayClusterName": "embedserve-bcdfg"})
        cluster = active["rayClusterName"]
        wanted = service["spec"].get("serveConfigV2", "")

        details = client.get(f"{self.serve.url}{APPLICATIONS}").json()["applications"]  # before anything is submitted
        if self.cache.get(cluster, "") == "" or not details or self.cache[cluster] != wanted:
            submitted = client.put(f"{self.serve.url}{APPLICATIONS}", json=yaml.safe_load(wanted))
            if submitted.status_code != 200:
                return  # an error: the status stays as it was
            self.cache[cluster] = wanted

        active["applicationStatuses"] = {
            name: {"status": app["status"], "message": app["message"], "serveDeploymentStatuses": {}}
            for name, app in details.items()
        }
        status["observedGeneration"] = service["metadata"]["generation"]
        status["numServeEndpoints"] = 1
        status.setdefault("conditions", [])
        if status != before:
            client.put(f"{PATH}/status", json=service)  # with its resourceVersion: refused where others wrote meanwhile


@contextlib.contextmanager
def kuberay(api: ApiServer, serve: ServeRest) -> Iterator[KubeRay]:
    """An operator at work."""
    operator = KubeRay(api, serve)
    operator.held.set()
    ends = threading.Event()

    def work() -> None:
        with direct(base_url=api.url, headers={"authorization": f"Bearer {ADMIN_TOKEN}"}, timeout=10) as client:
            while not ends.is_set():
                operator.held.wait(1)
                with operator.busy:
                    if operator.held.is_set():
                        with contextlib.suppress(httpx2.TransportError):  # the API server restarts
                            operator.reconcile(client)
                        operator.passes += 1
                ends.wait(REQUEUE_S)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield operator
    finally:
        ends.set()
        operator.held.set()
        thread.join()
