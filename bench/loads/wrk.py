"""The closed loop: wrk with a generated script."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.loads.bodies import Body

MARKER = "RESULT "
TIMEOUT_S = 60
DONE = """
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('RESULT {"requests":%d,"duration_us":%d,"bytes":%d,"connect":%d,"read":%d,"write":%d,'
    .. '"status":%d,"timeout":%d,"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d}\\n',
    summary.requests, summary.duration, summary.bytes, e.connect, e.read, e.write, e.status, e.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
"""


class WrkError(RuntimeError):
    """wrk gave no result."""


@dataclass(frozen=True)
class Sample:
    """One measurement of a closed loop."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failed: int  # answers other than 2xx and 3xx
    broken: int  # requests without an answer: connections that failed, answers cut off, timeouts
    generator_cpu: float  # share of one core that wrk itself took

    @property
    def rate(self) -> float:
        """Good requests per second."""
        return (self.requests - self.failed) / self.seconds


def run(url: str, body: Body, clients: int, seconds: float, first: int) -> Sample:
    """Load ``url`` for some seconds.

    Args:
        url: scheme, host and port.
        body: what is sent.
        clients: connections, each with one request at a time.
        seconds: how long.
        first: the number of the first input.

    Raises:
        WrkError: wrk is missing or did not finish.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        script = Path(folder) / "load.lua"
        script.write_text(body.script(Path(folder), first) + DONE, encoding="utf-8")
        whole = max(1, round(seconds))
        command = ["wrk", "-t1", f"-c{clients}", f"-d{whole}s", f"--timeout={TIMEOUT_S}s", "-s", str(script), url]
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except FileNotFoundError:
            raise WrkError("wrk is missing; it is the Debian package `wrk`") from None
        assert process.stdout
        output = process.stdout.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
    return parse(output, usage.ru_utime + usage.ru_stime)


def parse(output: str, cpu_s: float) -> Sample:
    """Read the line that the script's ``done`` wrote; ``cpu_s`` is wrk's own processor time.

    Raises:
        WrkError: there is no such line.
    """
    line = next((line for line in output.splitlines() if line.startswith(MARKER)), None)
    if line is None:
        raise WrkError(f"wrk did not finish: {output[-400:]}")
    result = json.loads(line.removeprefix(MARKER))
    seconds = result["duration_us"] / 1e6
    return Sample(
        requests=result["requests"],
        seconds=seconds,
        p50_ms=result["p50_us"] / 1e3,
        p99_ms=result["p99_us"] / 1e3,
        failed=result["status"],
        broken=result["connect"] + result["read"] + result["write"] + result["timeout"],
        generator_cpu=cpu_s / seconds,
    )
