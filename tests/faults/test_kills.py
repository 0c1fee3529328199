"""Processes killed under sixteen clients: who notices, and for how long."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.faults.fleet import ENCODER, GATEWAY, Fleet, fleet
from tests.integration.traffic import Traffic
from tests.integration.waiting import wait

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def two() -> Iterator[Fleet]:
    with fleet() as running:
        yield running


def report(what: str, traffic: Traffic, killed: float) -> None:
    """Say what was measured; docs/operations.md has the figures of a quiet machine."""
    last = max((at - killed for at in traffic.failed_at), default=0.0)
    slowest = max(seconds for _, seconds, _, _ in traffic.since(killed - 1))
    print(
        f"\n{what}: {len(traffic.answers)} answered, {len(traffic.failures)} failed, the last of them {last:.2f} s "
        f"after the kill; the slowest answer took {slowest:.2f} s; {sorted({f[:160] for f in traffic.failures})[:4]}"
    )


def replaced(two: Fleet, application: str, victim: int) -> bool:
    pids = two.pids(application)
    return victim not in pids and len(pids) == 2


@pytest.mark.parametrize("kill", range(2))
def test_a_killed_encoder_fails_no_request(two: Fleet, kill: int) -> None:
    with two.traffic() as traffic:
        traffic.wait_for(100)
        killed = time.monotonic()
        victim = two.kill(f"ray::ServeReplica:{ENCODER}")
        took = wait("a successor", lambda: replaced(two, ENCODER, victim))
        traffic.wait_for(100)
    report(f"encoder killed, two again after {took:.1f} s", traffic, killed)
    assert traffic.failures == []


@pytest.mark.parametrize(
    ("title", "application"),
    [
        ("ray::ServeReplica:gateway", GATEWAY),
        ("ray::ServeController", None),
        ("haproxy -db", None),
        ("ray::HAProxyManager", None),
    ],
    ids=["a gateway", "the controller", "HAProxy", "HAProxy's manager, and HAProxy with it"],
)
def test_a_kill_fails_only_what_it_held_and_nothing_after(two: Fleet, title: str, application: str | None) -> None:
    with two.traffic() as traffic:
        traffic.wait_for(100)
        killed = time.monotonic()
        victim = two.kill(title)
        if application:
            wait("a successor", lambda: replaced(two, application, victim))
        wait("the process again", lambda: any(pid != victim for pid in two.processes(title)))
        wait("ready", two.ready)
        recovered = time.monotonic()
        traffic.wait_for(200)
    report(f"{title} killed, recovered after {recovered - killed:.1f} s", traffic, killed)
    assert [at for at in traffic.failed_at if at > recovered] == []
    if "haproxy" not in title.lower():  # the port is closed until there is a new one, which takes seconds
        assert len(traffic.failures) <= 16  # at most what each client had under way
