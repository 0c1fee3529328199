"""Was the machine left alone while it measured?"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

from bench.report.machine import busy_s
from bench.systems.server import Server

QUIET_CORES = 0.1  # what other processes may take while the numbers are still called quiet


class Meter:
    """What everything else on the machine takes while a server is measured: begun when it is made."""

    def __init__(self, server: Server) -> None:
        """Begin."""
        self._server = server
        self._machine, self._own, self._begin = busy_s(), time.process_time(), time.monotonic()
        self._service = sum(server.mark.cpu_seconds().values())

    def read(self, generator_s: float) -> tuple[float, float]:
        """End.

        Args:
            generator_s: processor time of the load's generator, in seconds.

        Returns:
            Processor seconds of the server, and cores of everything else but the generator and this process.
        """
        service = sum(self._server.mark.cpu_seconds().values()) - self._service
        lasted = time.monotonic() - self._begin
        ours = service + generator_s + time.process_time() - self._own
        return service, max(busy_s() - self._machine - ours, 0) / lasted


def quietness(others: Sequence[float]) -> tuple[bool, str]:
    """Whether the machine was left alone, and a sentence that says so.

    Args:
        others: cores that everything else took, of each measurement.
    """
    loud = [cores for cores in others if cores > QUIET_CORES]
    most = max(others, default=0.0)
    if not loud:
        return True, f"quiet: everything else took at most {most:.2f} cores"
    return False, (
        f"NOT QUIET: everything else took more than {QUIET_CORES:g} cores in {len(loud)} of {len(others)} measurements, "
        f"{most:.2f} at most. Ratios of processor time suffer less from that than ratios of rates; better, measure again"
    )


def unfair(niceness: Mapping[str, Collection[int]]) -> str | None:
    """Which systems gave way to others; None where all ran alike.

    Args:
        niceness: of each system's processes.
    """
    if len({level for levels in niceness.values() for level in levels}) <= 1:
        return None
    listed = "; ".join(f"{system}: {', '.join(map(str, sorted(levels)))}" for system, levels in niceness.items())
    return f"UNFAIR: not all processes have the same niceness: {listed}"
