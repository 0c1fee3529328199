"""Measures every load on every target by turns, so that changes of the machine affect all alike."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from bench.comparison.probes import Probes
from bench.loads import wrk
from bench.loads.bodies import Body
from bench.loads.load import Load, Plan
from bench.loads.texts import Texts
from bench.report.quiet import Meter
from bench.report.results import Cell
from bench.systems.ours import measured, text_tokenizer
from bench.systems.server import Server, ServerError
from bench.systems.targets import STARTERS, Target, known, targets
from bench.systems.worker import Worker
from models.errors import SourceError

START_ATTEMPTS = 2
NUMBERS = 10_000_000  # inputs that one measurement may use up
Tell = Callable[[str], None]


class Bench:
    """The running systems, the ceiling's process, and the results so far."""

    def __init__(self, folder: Path, systems: list[str], tell: Tell) -> None:
        """Start nothing yet.

        Args:
            folder: for logs and configurations.
            systems: names of ``STARTERS``.
            tell: gets a line for each step.
        """
        self.worker = Worker()
        self.cells: dict[tuple[str, str], Cell] = {}
        self.servers: dict[str, Server] = {}
        self.failures: dict[str, str] = {}
        self.niceness: dict[str, list[int]] = {}
        self.targets = [t for t in targets() if t.system in systems]
        self._systems, self._folder, self._tell = systems, folder, tell
        self._numbers = itertools.count(1)
        self.tokenizer = text_tokenizer()
        self._texts: dict[int, Texts] = {}
        self._probes = Probes(self.worker)

    def first(self) -> int:
        """The first of numbers that no request has used."""
        return next(self._numbers) * NUMBERS

    def texts(self, tokens: int) -> Texts:
        """Texts of a number of tokens."""
        if tokens not in self._texts:
            self._texts[tokens] = Texts.of(self.tokenizer, tokens or 13)
        return self._texts[tokens]

    def start(self) -> None:
        """Start the systems one after the other and freeze each as soon as it answers; one that fails is left out."""
        for system in self._systems:
            self._tell(f"starting {system}")
            for attempt in range(1, START_ATTEMPTS + 1):
                try:
                    self._start(system)
                    break
                except (ServerError, SourceError, subprocess.CalledProcessError) as error:
                    self._tell(f"{system} did not start, attempt {attempt}: {error}")
                    if attempt == START_ATTEMPTS:
                        self.failures[system] = str(error)
                    if system in self.servers:
                        self.servers.pop(system).stop()
        self._systems = [system for system in self._systems if system not in self.failures]
        self.targets = [target for target in self.targets if target.system in self._systems]

    def _start(self, system: str) -> None:
        server = self.servers[system] = STARTERS[system](self._folder)
        for target in (t for t in self.targets if t.system == system):
            body = self._probe_body(target)
            server.wait(body.path, body.data(self.first()), body.content_type)
        self.targets = [known(target, server) if target.system == system else target for target in self.targets]
        self.niceness[system] = sorted(server.mark.niceness())
        server.freeze()

    def _probe_body(self, target: Target) -> Body:
        load = Load(target.modality, 1, 13, 1, 1, 1, encoding="base64")
        body = target.body(load, self.texts(13))
        assert body is not None
        return body

    def stop(self) -> dict[str, int]:
        """End every system.

        Returns:
            How many processes of each had to be killed.
        """
        killed = {name: server.stop() for name, server in self.servers.items()}
        self.worker.stop()
        return killed

    def measure(self, plan: Plan) -> None:
        """All rounds of all loads."""
        for load in plan.loads:
            for turn in range(load.rounds):
                self._tell(f"{load.name}, round {turn + 1} of {load.rounds}")
                self._ceilings(load)
                for system in self._systems:
                    self._system(system, load, plan.warm_s if turn == 0 else 0)

    def cell(self, load: Load, target: str) -> Cell:
        """Where a load's results on a target are collected."""
        return self.cells.setdefault((load.name, target), Cell(load.name, target))

    def _ceilings(self, load: Load) -> None:
        if load.cached:
            return
        for spec in measured():
            if spec.type != load.modality:
                continue
            question = {"model": spec.reference, "tokens": load.tokens, "outstanding": load.clients * load.items}
            result = self.worker.ask({**question, "seconds": load.seconds, "first": self.first()})
            cell = self.cell(load, f"ceiling {spec.precision}")
            cell.rates.append(result["rate"])
            cell.p50_ms.append(result["p50_ms"])
            cell.p99_ms.append(result["p99_ms"])
            cell.notes = {"batch": result["batch"], "way": result["way"]}

    def _system(self, system: str, load: Load, warm_s: float) -> None:
        pairs = [(t, t.body(load, self.texts(load.tokens))) for t in self.targets if t.system == system]
        if not any(body for _, body in pairs):
            return
        server = self.servers[system]
        server.thaw()
        try:
            for target, body in pairs:
                if body is not None:
                    self._target(server, target, body, load, warm_s)
            server.settle()
        finally:
            server.freeze()

    def _target(self, server: Server, target: Target, body: Body, load: Load, warm_s: float) -> None:
        if warm_s:
            wrk.run(server.url, body, load.clients, warm_s, self.first())
        server.settle()
        probe = self._probes.prepare(target, self.texts(13), self.first())
        cell = self.cell(load, target.name)
        before, counted, meter = server.mark.cpu_seconds(), server.requests_counted(), Meter(server)
        thread = threading.Thread(target=probe.send, args=(server, load.seconds))
        thread.start()
        sample = wrk.run(server.url, body, load.clients, load.seconds, self.first())
        service_s, others = meter.read(sample.generator_cpu * sample.seconds)
        thread.join()
        after, counted_after = server.mark.cpu_seconds(), server.requests_counted()
        cell.rates.append(sample.rate * load.items)
        cell.p50_ms.append(sample.p50_ms)
        cell.p99_ms.append(sample.p99_ms)
        cell.failed += sample.failed + sample.broken
        cell.generator_cpu.append(sample.generator_cpu)
        cell.others.append(round(others, 3))
        cell.cost_ms.append(round(service_s / max(sample.requests, 1) * 1e3, 3))
        cell.cpu = {k: round((v - before.get(k, 0)) / sample.seconds, 3) for k, v in after.items()}
        cell.probes += probe.sent
        cell.identical += probe.identical
        cell.unanswered += probe.unanswered
        cell.least_cosine = min(cell.least_cosine, probe.least_cosine)
        if counted is not None and counted_after is not None:
            cell.uncounted.append(counted_after - counted - probe.sent - sample.requests)
        if sample.failed + sample.broken:
            print(f"{target.name}: {sample.failed} failed, {sample.broken} broken in {load.name}", file=sys.stderr)
