"""Ray's process: it starts Ray, tells where it is, and ends Serve when the guardian that started it says so."""

from __future__ import annotations

import json
import logging
import os
import select
import sys
import threading
from pathlib import Path

from deployments.cluster.run_folder import RunFolder
from deployments.cluster.supervised import ASKED, LOOK_S, RAY_ENDED

# Serve's own shutdown: HAProxy goes first, then replicas, which drain for 30 s although nothing arrives any more.
SERVE_S = 3.0


def main() -> None:
    """Start Ray and stay until the guardian closes its pipe or is gone. Ray's processes end with this one."""
    options = json.loads(sys.argv[1])
    tell = os.dup(sys.stdout.fileno())  # for one line; what anybody prints is for people
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    started = threading.Event()
    threading.Thread(target=_end_if_told_while_starting, args=(started,), daemon=True).start()
    try:
        about = _start_ray(RunFolder(Path(options["folder"])), options["cpus"], lean=options["lean"])
    except Exception as error:  # ray.init raises whatever its processes die of
        os.write(tell, json.dumps({"error": str(error).partition("\n")[0]}).encode() + b"\n")
        # Its end takes Ray's processes along: until then the guardian sees which of them ended before.
        select.select([sys.stdin], [], [], 3 * LOOK_S)
        os._exit(RAY_ENDED)
    started.set()
    os.write(tell, json.dumps(about).encode() + b"\n")
    select.select([sys.stdin], [], [])
    # Bounded by the end of this process, not by an end of the thread: Ray does not bear to be shut down beside a call.
    serving = threading.Thread(target=_shut_serve_down, daemon=True)
    serving.start()
    serving.join(SERVE_S)
    os._exit(ASKED)


def _start_ray(folder: RunFolder, cpus: int, *, lean: bool) -> dict[str, str]:
    """Start Ray; returns where its dashboard and its control plane are."""
    import ray

    from deployments.cluster.ports import free_port
    from deployments.serve_internals.lean_node import serving_node

    with serving_node(lean=lean):
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


def _shut_serve_down() -> None:
    from ray import serve

    try:
        serve.shutdown()  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever it is, Ray ends next
        logging.getLogger(__name__).warning("Serve did not shut down: %s", error)


if __name__ == "__main__":
    main()
