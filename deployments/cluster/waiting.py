"""Waiting until a configuration serves, and saying meanwhile what keeps it from doing so."""

from __future__ import annotations

import time
from collections.abc import Callable

from deployments.cluster.complaints import Complaints
from deployments.cluster.entrances import ready_at
from deployments.cluster.last_line import last_line
from deployments.cluster.serve_api import ClusterError, ServeApi
from deployments.cluster.serve_file import ServeConfig
from deployments.cluster.start_log import StartLog

POLL_S = 0.2
SILENT_S = 15.0  # of a start, after which its user hears what it waits for even where nothing complains

States = dict[str, tuple[str, str]]  # status and message of each application


def wait_until_ready(
    api: ServeApi,
    config: ServeConfig,
    timeout_s: float,
    tell: Callable[[dict[str, str]], None],
    note: Callable[[str], None] = lambda _: None,
    log: StartLog | None = None,
) -> str:
    """Wait until every application runs and each node's gateway says that each routed version embeds; returns a URL.

    Args:
        api: where to ask.
        config: what was asked for.
        timeout_s: how long to wait.
        tell: hears the status of each application whenever it was asked.
        note: hears, once each, what keeps the service from being ready.
        log: where Serve and the replicas write, if on this machine.

    Raises:
        ClusterError: an application failed, or time ran out.
    """
    wanted = [app["name"] for app in config.applications()]
    complaints = Complaints(note)
    began = time.monotonic()
    states: States = {}
    silent = True
    while (now := time.monotonic()) < began + timeout_s:
        states = api.states()
        tell({name: _status(states, name) for name in wanted})
        _require_none_failed(states, wanted)
        passing = [f"{name}: {last_line(states[name][1])}" for name in wanted if name in states and states[name][1]]
        if all(_status(states, name) == "RUNNING" for name in wanted):
            ready, reasons = ready_at(api, config)
            if ready is not None and not reasons:
                return ready
            passing += reasons
        complaints.hear(log.complaints() if log else (), passing, time.monotonic(), now)
        if silent and now - began >= SILENT_S:
            silent = False
            note(f"waiting: {_waiting(states, wanted)}" + (f"; the logs are in {log.folder}" if log else ""))
        time.sleep(POLL_S)
    said = "".join(f"; {text}" for text in complaints.told)
    raise ClusterError(f"not ready within {timeout_s:g} s: {_waiting(states, wanted)}{said}")


def _status(states: States, name: str) -> str:
    return states.get(name, ("NOT_STARTED", ""))[0]


def _waiting(states: States, wanted: list[str]) -> str:
    return ", ".join(f"{name} is {_status(states, name)}" for name in wanted)


def _require_none_failed(states: States, wanted: list[str]) -> None:
    failed = [f"{name}: {last_line(states[name][1])}" for name in wanted if _status(states, name) == "DEPLOY_FAILED"]
    if failed:
        raise ClusterError("deployment failed: " + "; ".join(failed))
