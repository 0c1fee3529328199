"""The Ray that this project starts on one machine, for a service or for a job, without what nobody asks there.

Beside a node's own processes Ray starts a log monitor, which sends what workers print to drivers that asked for it, and a monitor
of an autoscaler of machines; and it looks once a second whether its node is there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final

LOOK_S: Final = 0.02  # between two looks for the node
START_S: Final = 30.0  # after which Ray itself says that there is none
PRESTART: Final = "RAY_prestart_worker_first_driver"  # a process for each core, for which the first driver waits
MONITORS: Final = ("start_log_monitor", "start_monitor")
DASHBOARD: Final = "start_api_server"


@contextmanager
def serving_node(*, lean: bool) -> Iterator[None]:
    """While the Ray of a service starts.

    Args:
        lean: whether this seam is on.
    """
    with ExitStack() as stack:
        if lean:
            _without(stack, MONITORS)
        yield


@contextmanager
def working_node(*, lean: bool) -> Iterator[None]:
    """While the Ray of a job starts: it has an agent as where Ray is installed without its dashboard, and no workers in advance.

    Args:
        lean: whether this seam is on.
    """
    with ExitStack() as stack:
        if lean:
            from ray._private import utils

            stack.enter_context(_variable(PRESTART, "0"))
            stack.enter_context(replaced(utils, "get_dashboard_dependency_error", _no_dashboard))
            _without(stack, (DASHBOARD, *MONITORS))
        yield


def _without(stack: ExitStack, parts: tuple[str, ...]) -> None:
    from ray._private import services
    from ray._private.node import Node

    stack.enter_context(replaced(services, "get_node", partial(_node_at_once, services.get_node)))
    for part in parts:
        stack.enter_context(replaced(Node, part, nothing))


def _node_at_once(get_node: Callable[[str, str], Any], gcs_address: str, node_id: str) -> Any:
    """The node that starts, as soon as it is there: Ray itself looks once a second."""
    from ray._private import services, state

    looking: Any = state.GlobalState()  # type: ignore[no-untyped-call]
    looking._initialize_global_state(services._get_gcs_client_options(gcs_address))  # type: ignore[no-untyped-call]
    end = time.monotonic() + START_S
    while time.monotonic() < end and not any(one["NodeID"] == node_id for one in looking.node_table()):
        time.sleep(LOOK_S)
    return get_node(gcs_address, node_id)


def nothing(*_: object, **__: object) -> None:
    """In the place of what starts or tells something."""


def _no_dashboard() -> ImportError:
    return ImportError("nobody asks for a dashboard")


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """One of this process's environment, unless its user set it."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """While it lasts, something of Ray's is another; a staticmethod stays one afterwards."""
    before = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
