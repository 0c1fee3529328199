"""A stand-in for Serve's REST API and for the gateway's ``/v1/models``, which follow the configuration that they are given."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from ray.serve.schema import ServeDeploySchema

from deployments.config.names import application_name
from deployments.config.routes import shares
from deployments.operator.document import gateway, user_config
from tests.servers.local_server import listening

DEPLOYS_S = 0.05  # until a new configuration runs


def artifact_hash(artifact: str) -> str:
    """The hash that the stand-in gives to an artifact."""
    return hashlib.sha256(artifact.encode()).hexdigest()


@dataclass
class ServeRest:
    """A Serve that loads nothing, on one port with its gateway."""

    url: str = ""
    document: dict[str, Any] = field(default_factory=lambda: {"applications": []})
    since: float = 0.0
    bad: set[str] = field(default_factory=set)  # artifacts with which an application does not start
    refused: set[str] = field(default_factory=set)  # artifacts that encoders refuse and go on with what they have
    pod: str = "embedserve-bcdfg-head-x2z4w"
    submitted: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    served: dict[str, str] = field(default_factory=dict)  # application → artifact that it really has
    metrics: Callable[[], str] = str  # what its exporter says

    def deploy(self, document: dict[str, Any]) -> None:
        """What a PUT does."""
        ServeDeploySchema.model_validate(document)
        with self.lock:
            self.submitted.append(document)
            if document != self.document:
                self.document, self.since = document, time.monotonic()
            for app in self._encoders():
                artifact = user_config(app)["artifact"]
                if artifact not in self.refused | self.bad or app["name"] not in self.served:
                    self.served[app["name"]] = artifact

    def _encoders(self) -> list[dict[str, Any]]:
        return [app for app in self.document["applications"] if app["import_path"].endswith(":encoder")]

    def details(self) -> dict[str, Any]:
        """What a GET says."""
        with self.lock:
            busy = time.monotonic() - self.since < DEPLOYS_S
            apps = {}
            for app in self.document["applications"]:
                bad = app in self._encoders() and user_config(app)["artifact"] in self.bad
                apps[app["name"]] = {
                    "name": app["name"],
                    "status": "DEPLOYING" if busy else "DEPLOY_FAILED" if bad else "RUNNING",
                    "message": "replicas failed to start" if bad and not busy else "",
                    "source": "declarative",
                    "route_prefix": app.get("route_prefix"),
                    "deployed_app_config": {key: value for key, value in app.items() if value is not None},
                    "deployments": {d["name"]: {"replicas": [{}]} for d in app["deployments"]},
                }
            info = {"node_instance_id": self.pod}
            return {"controller_info": info, "proxies": {}, "applications": apps}

    def models(self) -> list[dict[str, Any]]:
        """The gateway's entries."""
        with self.lock:
            entries = []
            for model, table in gateway(self.document)["models"].items():
                for version, share in shares(table["versions"]).items():
                    name = application_name(model, version)
                    app = next((app for app in self._encoders() if app["name"] == name), None)
                    wanted = user_config(app)["artifact"] if app else ""
                    refused = wanted in self.refused and self.served[name] != wanted
                    entries.append(
                        {
                            "id": f"{model}@{version}",
                            "name": model,
                            "share": share,
                            "state": "ready" if app and wanted not in self.bad else "failed",
                            "reason": f"{wanted} does not load" if refused else None,
                            "reason_code": "swap_refused" if refused else None,
                            "hash": artifact_hash(self.served.get(name, "")),
                            "replicas": 1,
                        }
                    )
            return entries

    def share(self, reference: str) -> float:
        """The part of its model's traffic that a version gets."""
        return float(next(entry["share"] for entry in self.models() if entry["id"] == reference))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    serve: ServeRest

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.command == "PUT":
            self.serve.deploy(json.loads(body))
        routes = {"/v1/models": lambda: {"data": self.serve.models()}, "/api/serve/applications/": self.serve.details}
        data = json.dumps(routes.get(self.path, dict)()).encode()
        if self.path == "/metrics":
            data = self.serve.metrics().encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = _serve  # noqa: N815 - their names in http.server


@contextlib.contextmanager
def serve_rest() -> Iterator[ServeRest]:
    """A Serve on a free port of this machine."""
    serve = ServeRest()
    with listening(type("Handler", (_Handler,), {"serve": serve})) as serve.url:
        yield serve
