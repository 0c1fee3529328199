from __future__ import annotations

import subprocess
import sys
import time

from bench.systems.processes import Mark
from bench.systems.server import requests_in

CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"


def test_marked_processes_are_frozen_measured_and_ended() -> None:
    mark = Mark()
    process = subprocess.Popen([sys.executable, "-c", CHILD], env=mark.environment())
    try:
        while len(mark.pids()) < 2 or not sum(mark.cpu_seconds().values()):
            time.sleep(0.05)
        mark.freeze()
        time.sleep(0.1)
        before = sum(mark.cpu_seconds().values())
        time.sleep(0.3)
        assert sum(mark.cpu_seconds().values()) == before
    finally:
        assert mark.end() == 0
        process.wait()
    assert mark.pids() == []


def test_haproxys_own_pages_are_not_counted() -> None:
    text = (
        "# TYPE haproxy_frontend_http_requests_total counter\n"
        'haproxy_frontend_http_requests_total{proxy="http_frontend"} 120\n'
        'haproxy_frontend_http_requests_total{proxy="prometheus"} 4\n'
    )
    assert requests_in(text) == 120
    assert requests_in("") is None
