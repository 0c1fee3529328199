"""A Ray cluster of several nodes, each on a machine of its own, as docs/operations.md starts one without Kubernetes."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import httpx2
import yaml

from deployments.serve_internals import haproxy_process, lean_serve
from deployments.serve_internals.settings import SWITCHES
from models.catalog.paths import ROOT, store
from tests.integration.machines import Machines
from tests.integration.service import QUICK
from tests.integration.waiting import wait
from tests.read_only import require_mounts
from tests.servers.redis_server import RedisServer

PROGRAMS = Path(sys.executable).parent
WAIT_S = 180
STORE_BYTES = 80_000_000  # Ray's smallest object store; vectors and pictures travel by gRPC
METRICS_PORT, HAPROXY_PORT = 8080, 9101  # as in k8s/base
# As in a pod: the root file system and the preloaded models cannot be written, /tmp and the machine's own folder can.
MOUNTED = """
set -e
umask 077
mount --bind /tmp /tmp
mount --bind "$1" "$2"
mount --bind "$3" "$3"
mount -o remount,ro,bind "$3"
mount -o remount,ro,bind /
shift 3
exec "$@"
"""
# As docs/operations.md has it for machines without Kubernetes.
PRIVATE = "/var/lib/embedserve"
EXPORTS = re.compile(rf"^export (RAY_SERVE_HAPROXY_\w+)={PRIVATE}(\S*)$", re.MULTILINE)
# A head does not start where it sees processes of a cluster at its address, so that one which is to come back needs machines
# with processes of their own. The ids that Ray tells are then no ids outside.
APART = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)\{([^}]*)\} (\S+)", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


class Nodes:
    """The head, which runs no replicas, on the first machine and workers on the others."""

    def __init__(
        self,
        workers: int,
        cpus: int,
        redis: RedisServer | None = None,
        labels: Mapping[int, str] | None = None,
        cards: Collection[int] = (),
    ) -> None:
        """Start the cluster. ``labels`` are those of some machines, as ``ray start`` takes them; on the machines ``cards``
        Ray is told of a card, whether there is one or not.

        What the head knows is kept in ``redis``, which is started where all nodes reach it, and so it may be lost and join
        again; ids of processes are then their machines' own.
        """
        self._apart = APART if redis is not None else []
        self._labels = labels or {}
        self._cards = cards
        require_mounts()
        self.machines = Machines(workers + 1)
        self.folder = Path(tempfile.mkdtemp(prefix="es", dir="/tmp"))  # short: Ray's sockets end at 107 characters
        self.folder.chmod(0o755)  # so that what is private is so by itself
        self.private = self.folder / "v"  # on each machine another one
        documented = EXPORTS.findall((ROOT / "docs" / "operations.md").read_text(encoding="utf-8"))
        token = self.folder / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        self.environment = {
            **os.environ,
            **SWITCHES,
            **{name: f"{self.private}{rest}" for name, rest in documented},
            haproxy_process.VARIABLE: str(PROGRAMS / haproxy_process.PROGRAM),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            # A node that starts waits for its agents, 30 s by default, of which a busy machine may need more.
            "RAY_agent_register_timeout_ms": str(WAIT_S * 1000),
            **QUICK,
            **lean_serve.variables(os.environ),
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "10",  # HAProxy of every node must hear of it in this time
            "EMBEDSERVE_PRELOADED": str(store()),
            "EMBEDSERVE_MODELS": str(self.private / "models"),
            "COLUMNS": "200",
        }
        if redis is not None:
            redis.start(self.machines.outside)
            self.environment["RAY_REDIS_ADDRESS"] = f"{self.machines.outside}:{redis.port}"
        self.head, *self.workers = self.machines.addresses
        self.dashboard = f"http://{self.head}:8265"
        headers = {"Authorization": f"Bearer {token.read_text()}"}
        self.rest = httpx2.Client(base_url=self.dashboard, headers=headers, timeout=30, trust_env=False)
        try:
            self._start(workers, cpus)
        except BaseException as error:
            error.add_note("\n".join(log.read_text()[-2000:] for log in self.folder.glob("*.log")))
            self.close()
            raise

    def _start(self, workers: int, cpus: int) -> None:
        start = [str(PROGRAMS / "ray"), "start", "--block", f"--object-store-memory={STORE_BYTES}"]
        start.append(f"--metrics-export-port={METRICS_PORT}")
        head = ["--head", "--num-cpus=0", f"--node-ip-address={self.head}", f"--dashboard-host={self.head}"]
        joining = [*start, f"--address={self.head}:6379", f"--num-cpus={cpus}"]
        self.commands = [
            [*start, *head, f"--temp-dir={self.private / 'ray'}"],
            *([*joining, f"--node-ip-address={address}"] for address in self.workers),
        ]
        self.commands = [
            [
                *command,
                *([f"--labels={self._labels[number]}"] if number in self._labels else []),
                *(["--num-gpus=1"] if number in self._cards else []),
            ]
            for number, command in enumerate(self.commands)
        ]
        self.join(0)
        self.join(*range(1, workers + 1))

    def join(self, *numbers: int) -> None:
        """Start Ray on machines, and wait until the cluster has them."""
        processes = {number: self._machine(number, self.commands[number]) for number in numbers}

        def all_there() -> bool:
            for number, process in processes.items():
                if process.poll() is not None:  # Ray gives a node 30 s, of which a busy machine may need more
                    processes[number] = self._machine(number, self.commands[number])
            there = set(self.alive())
            return self.details() is not None and {self.machines.addresses[number] for number in numbers} <= there

        wait("all nodes", all_there, WAIT_S)

    def lose(self, number: int) -> None:
        """Kill everything that runs on a machine, at once."""
        for pid in self.machines.processes(number):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _machine(self, number: int, command: list[str]) -> subprocess.Popen[bytes]:
        """Run a program that finds a folder of its own where all look for Ray's: two starting at once share nothing."""
        own, common = self.folder / str(number), self.private
        own.mkdir(mode=0o700, exist_ok=True)
        common.mkdir(mode=0o700, exist_ok=True)
        mounted = ["sh", "-c", MOUNTED, "sh", str(own), str(common), str(store()), *self._apart, *command]
        return self.machines.start(number, mounted, self.environment, self.folder / f"machine-{number}.log")

    def details(self) -> dict[str, Any] | None:
        """What Serve says of itself; nothing while nobody answers."""
        try:
            answer = self.rest.get("/api/serve/applications/")
        except httpx2.HTTPError:
            return None
        return answer.json() if answer.status_code == 200 else None

    def alive(self) -> list[str]:
        """Addresses of the nodes that Ray knows."""
        try:
            answer = self.rest.get("/api/v0/nodes")
        except httpx2.HTTPError:
            return []
        nodes = answer.json()["data"]["result"]["result"] if answer.status_code == 200 else []
        return [node["node_ip"] for node in nodes if node["state"] == "ALIVE"]

    def run(self, *command: str) -> str:
        """Run one of the environment's programs on the head's machine and return what it said."""
        log = self.folder / f"{command[0]}.log"
        log.unlink(missing_ok=True)
        process = self.machines.start(0, [str(PROGRAMS / command[0]), *command[1:]], self.environment, log)
        code = process.wait(WAIT_S * 2)
        said = log.read_text()
        assert code == 0, said
        return said

    def deploy(self, document: dict[str, Any]) -> None:
        """`serve deploy`, without waiting."""
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        self.run("serve", "deploy", "--address", self.dashboard, str(path))

    def replicas(self, application: str) -> list[dict[str, Any]]:
        """The replicas of an application's deployment that serve."""
        app = (self.details() or {"applications": {}})["applications"].get(application, {"deployments": {}})
        return [r for d in app["deployments"].values() for r in d["replicas"] if r["state"] == "RUNNING"]

    def samples(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """What the exporters of all nodes say: labels and values by metric."""
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        places = [(address, METRICS_PORT) for address in self.machines.addresses]
        for address, port in (*places, *((address, HAPROXY_PORT) for address in self.workers)):
            text = httpx2.get(f"http://{address}:{port}/metrics", timeout=30, trust_env=False).text
            for name, labels, value in SAMPLE.findall(text):
                found.setdefault(name, []).append((dict(LABEL.findall(labels)), float(value)))
        return found

    def placement(self, application: str) -> Counter[str]:
        """On which nodes an application's replicas are."""
        return Counter(replica["node_ip"] for replica in self.replicas(application))

    def close(self) -> None:
        """Stop everything."""
        self.rest.close()
        self.machines.close()
        shutil.rmtree(self.folder, ignore_errors=True)
