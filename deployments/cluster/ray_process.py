"""The process that Ray runs under: it starts Ray and Serve's driver, and ends them when its supervisor says so or is gone.

It runs in a session of its own, so that no terminal, and no signal to the supervisor's group, reaches Ray. What it waits for is
the end of a pipe that the supervisor alone holds open: nothing that ends the supervisor can prevent that.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import sys
import threading
from pathlib import Path

from deployments.cluster.processes import adopt_orphans, children_of, end_all, has_ended, reap
from deployments.cluster.run_folder import RunFolder
from deployments.cluster.supervised import ASKED, STOP_S

SERVE_S = 3.0  # Serve's own shutdown: HAProxy goes first, then replicas, which drain for 30 s although nothing arrives
LOOK_S = 1.0  # between looks at Ray's processes
RAY_ENDED = 3  # exit status: Ray ended without being told
VITAL = ("raylet", "gcs_server")  # without either there is no Ray


def main() -> None:
    """Start Ray, tell where it is, and stay until the supervisor closes its pipe."""
    options = json.loads(sys.argv[1])
    folder = RunFolder(Path(options["folder"]), options["lock"])
    os.set_inheritable(folder.lock, False)
    tell = os.dup(sys.stdout.fileno())  # for one line; what anybody prints is for people
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    os.umask(0o077)  # Ray writes its token, its logs and its sockets with the umask it finds
    adopt_orphans()
    folder.note_session(os.getsid(0))
    started = threading.Event()
    threading.Thread(target=_end_if_told_while_starting, args=(started, folder), daemon=True).start()
    about = _start_ray(folder, options["cpus"])
    started.set()
    os.write(tell, json.dumps(about).encode() + b"\n")
    _end(folder, _wait())


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


def _end_if_told_while_starting(started: threading.Event, folder: RunFolder) -> None:
    select.select([sys.stdin], [], [])
    if not started.is_set():
        end_all()
        folder.remove()
        os._exit(ASKED)


def _wait() -> int:
    """Wait until the supervisor closes its pipe or is gone, or Ray ends; returns the exit status."""
    own = children_of(os.getpid())  # Ray's, which looks after them itself
    vital = {pid for pid in own if _name(pid) in VITAL}
    while not select.select([sys.stdin], [], [], LOOK_S)[0]:
        if any(has_ended(pid) for pid in vital):
            return RAY_ENDED
        reap({pid for pid in children_of(os.getpid()) - own if has_ended(pid)})  # adopted from others
    return ASKED


def _end(folder: RunFolder, code: int) -> None:
    """End Serve, then Ray, then whatever is left; the folder stays where somebody may want to know why."""
    import ray

    def hurry() -> None:
        end_all()
        if code == ASKED:
            folder.remove()
        os._exit(code)

    timer = threading.Timer(STOP_S, hurry)
    timer.daemon = True
    timer.start()
    if code == ASKED:
        serving = threading.Thread(target=_shut_serve_down, daemon=True)
        serving.start()
        serving.join(SERVE_S)
        ray.shutdown()
    hurry()


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
