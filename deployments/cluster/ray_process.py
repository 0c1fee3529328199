"""Ray's process: it starts Ray, tells where it is, and ends Serve when the guardian that started it says so."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import sys
import threading
from pathlib import Path

from deployments.cluster.processes import children_of, has_ended
from deployments.cluster.run_folder import RunFolder
from deployments.cluster.supervised import ASKED, RAY_ENDED

# Serve's own shutdown: HAProxy goes first, then replicas, which drain for 30 s although nothing arrives any more.
SERVE_S = 3.0
LOOK_S = 1.0  # between looks at Ray's processes
VITAL = ("raylet", "gcs_server")  # without either there is no Ray


def main() -> None:
    """Start Ray and stay until the guardian closes its pipe or is gone. Ray's processes end with this one."""
    options = json.loads(sys.argv[1])
    tell = os.dup(sys.stdout.fileno())  # for one line; what anybody prints is for people
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    started = threading.Event()
    threading.Thread(target=_end_if_told_while_starting, args=(started,), daemon=True).start()
    try:
        about = _start_ray(RunFolder(Path(options["folder"]), -1), options["cpus"])
    except Exception as error:  # ray.init raises whatever its processes die of
        os.write(tell, json.dumps({"error": str(error).partition("\n")[0]}).encode() + b"\n")
        os._exit(RAY_ENDED)
    started.set()
    os.write(tell, json.dumps(about).encode() + b"\n")
    code = _wait()
    if code == ASKED:
        # Bounded by the end of this process, not by an end of the thread: Ray does not bear to be shut down beside a call.
        serving = threading.Thread(target=_shut_serve_down, daemon=True)
        serving.start()
        serving.join(SERVE_S)
    os._exit(code)


def _start_ray(folder: RunFolder, cpus: int) -> dict[str, str]:
    """Start Ray; returns where its dashboard and its control plane are."""
    import ray

    from deployments.cluster.ports import free_port

    context = ray.init(
        address="local",
        num_cpus=cpus,
        include_dashboard=True,
        dashboard_host="127.0.0.1",
        dashboard_port=free_port(),
        log_to_driver=False,
        logging_level=logging.ERROR,
        _temp_dir=str(folder.ray),
    )
    return {"dashboard": f"http://{context.dashboard_url}", "address": ray.get_runtime_context().gcs_address}


def _end_if_told_while_starting(started: threading.Event) -> None:
    select.select([sys.stdin], [], [])
    if not started.is_set():
        os._exit(ASKED)


def _wait() -> int:
    """Wait until the guardian closes its pipe or is gone, or Ray ends; returns the exit status."""
    vital = {pid for pid in children_of(os.getpid()) if _name(pid) in VITAL}
    while not select.select([sys.stdin], [], [], LOOK_S)[0]:
        if any(has_ended(pid) for pid in vital):
            return RAY_ENDED
    return ASKED


def _shut_serve_down() -> None:
    from ray import serve

    try:
        serve.shutdown()  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever it is, Ray ends next
        logging.getLogger(__name__).warning("Serve did not shut down: %s", error)


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    return ""


if __name__ == "__main__":
    main()
