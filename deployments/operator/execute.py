"""Carries a change out: check, show the plan, deploy step by step, wait each time, go back when it does not get healthy."""

from __future__ import annotations

import signal
import time

from rich.console import Console
from rich.markup import escape

from deployments.cluster.serve_file_check import check
from deployments.operator import lock
from deployments.operator.change import Change, Options
from deployments.operator.converge import Expected, NotHealthyError, wait
from deployments.operator.document import Document, gateway, part
from deployments.operator.operations import remember
from deployments.operator.outcome import Outcome
from deployments.operator.plan import Plan, Step, coloured, diff, plan
from deployments.operator.preflight import require_ready
from deployments.operator.summary import summary
from deployments.operator.target import PATIENCE_S, Target
from deployments.operator.yaml_file import YamlFile
from models.errors import EmbedserveError

ATTEMPTS = 5  # of a change before whose first write others changed other models


class Execution:
    """One command at work."""

    def __init__(self, console: Console, service: Target, change: Change, options: Options) -> None:
        """Prepare; nothing is read or written yet."""
        self._console, self._service, self._change, self._options = console, service, change, options
        self._claim = lock.new_claim(change.command, lease_s=4 * options.timeout_s + options.drain_s)
        self._written = False
        self._outcome = Outcome(change.command, change.model, options.dry_run)

    def run(self, current: Document) -> Outcome:
        """Carry the change out on what was read, or on what others have left meanwhile.

        Raises:
            EmbedserveError: it was refused, another operator was faster, or it was undone.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return self._run(current)
            except lock.OvertakenError as error:
                current = self._overtaken(current, error)
        return self._run(current)

    def _overtaken(self, seen: Document, error: lock.OvertakenError) -> Document:
        """What another operator left, if this change still means there what it meant before.

        Raises:
            ConflictError: it does not, or is half done, or the other one is still at work.
        """
        if self._written:
            lock.require_ours(self._service.read(), self._claim)  # says whose change stands now
        if self._written or not self._service.atomic:
            raise error
        now = self._service.read()
        lock.require_idle(now)
        if part(seen, self._change.model) != part(now, self._change.model):
            raise error
        self._console.print(
            f"[yellow]others changed something else meanwhile[/] ({escape(lock.last_change(now))}): planned again",
            highlight=False,
        )
        return now

    def _run(self, current: Document) -> Outcome:
        prepared = self._prepare(current)
        file = YamlFile.changed(self._options.write, self._change.operation) if self._options.write else None
        if not prepared.steps:
            self._console.print("nothing to change: the service is already what was asked for")
        else:
            self._show(prepared)
            if not self._options.dry_run:
                if file:
                    file.require_writable()
                self._apply(prepared)
        if file and self._options.dry_run:
            self._outcome.diff = "\n".join(file.diff())
            self._console.print(coloured(file.diff()), end="")
        elif file:
            file.save()
            self._outcome.wrote = str(file.path)
            self._console.print(
                f"wrote {escape(str(file.path))}" + (f"; {file.note}" if file.note else ""), highlight=False
            )
        return self._outcome

    def _prepare(self, current: Document) -> Plan:
        lock.require_idle(current)
        target = self._change.operation(current)
        check(target, "the new configuration")
        prepared = plan(current, target)
        if prepared.steps:
            require_ready(self._service.versions(current), sorted(self._change.routed))
        return prepared

    def _show(self, prepared: Plan) -> None:
        self._console.print(f"[bold]plan:[/] {escape(self._change.command)}", highlight=False)
        self._outcome.changes = [line.rstrip() for line in summary(prepared.current, prepared.target)]
        self._outcome.steps = [step.title for step in prepared.steps]
        lines = diff if self._options.verbose else summary
        self._console.print(coloured(lines(prepared.current, prepared.target)), end="")
        for number, step in enumerate(prepared.steps, 1):
            self._console.print(f"step {number}: {step.title}; wait until the cluster has converged", highlight=False)
        if self._options.dry_run:
            self._console.print("dry run: nothing was changed")

    def _apply(self, prepared: Plan) -> None:
        before = prepared.current
        previous = gateway(remember(before, prepared.target, self._change.model))["previous"]
        number = self._service.begin(before)
        reasons = {entry["id"]: entry.get("reason") for entry in self._service.versions(before)}
        lock.require_same(before, self._service.read())
        try:
            for step in prepared.steps:
                document = lock.with_claim(step.document, number, self._claim, previous)
                self._write(document)
                self._wait(step.title, Expected(document, self._claim, self._hashes(step), reasons))
                self._drain(step)
            done = lock.with_claim(prepared.target, number, self._claim.ended("done"), previous)
            self._write(done)
            self._wait("finish", Expected(done, self._claim, self._hashes(prepared.steps[-1]), reasons))
        except lock.ConflictError:
            raise
        except (EmbedserveError, KeyboardInterrupt) as error:
            reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
            if not self._deployed():
                raise
            self._go_back(before, number + 1, reason)
        self._note(number, "done")
        self._outcome.revision = number
        self._console.print(f"[green]done:[/] {escape(self._change.command)} (revision {number})", highlight=False)

    def _write(self, document: Document) -> None:
        """Deploy; after the first time only while our own document still stands, for Serve has no compare-and-swap."""
        if self._written:
            lock.require_ours(self._service.read(PATIENCE_S), self._claim)
        self._service.write(document, PATIENCE_S if self._written else 0)
        self._written = True

    def _note(self, number: int, result: str) -> None:
        if lacking := self._service.ended(number, self._claim, result):
            self._console.print(f"[yellow]warning:[/] {escape(lacking)}", highlight=False)

    def _deployed(self) -> bool:
        """Whether any step of this command was deployed."""
        last = lock.last_claim(self._service.read(PATIENCE_S))
        return last is not None and last.id == self._claim.id

    def _hashes(self, step: Step) -> dict[str, str | None]:
        """The hashes to wait for: of versions that the step's gateway lists, for it says no others."""
        listed = {
            f"{model}@{v}" for model, table in gateway(step.document)["models"].items() for v in table["versions"]
        }
        return {reference: digest for reference, digest in self._change.hashes.items() if reference in listed}

    def _wait(self, title: str, expected: Expected) -> None:
        with self._console.status(title) as spinner:
            wait(
                self._service,
                expected,
                self._options.timeout_s,
                lambda text: spinner.update(f"{title}: {escape(text)}"),
            )

    def _drain(self, step: Step) -> None:
        if step.drain:
            with self._console.status(f"draining: requests under way have {self._options.drain_s:g} s"):
                time.sleep(self._options.drain_s)

    def _go_back(self, before: Document, number: int, reason: str) -> None:
        """Deploy what was there before.

        Raises:
            NotHealthyError: always; it says why and what stands now.
        """
        self._console.print(f"[bold red]not healthy:[/] {escape(reason)}\ngoing back to what was there before")
        claim = self._claim.ended("went back")
        document = lock.with_claim(before, number, claim, gateway(before).get("previous", {}))
        lock.require_ours(self._service.read(PATIENCE_S), self._claim)
        self._service.write(document, PATIENCE_S)
        self._note(number, "went back")
        try:
            self._wait("going back", Expected(document, claim))
        except NotHealthyError as error:
            raise NotHealthyError(f"{reason}; the earlier configuration was deployed again, but: {error}") from None
        raise NotHealthyError(f"{reason}; the service is back to what it was: nothing else changed")


def execute(console: Console, service: Target, current: Document, change: Change, options: Options) -> Outcome:
    """Carry out a change of a running service; what came of it.

    Raises:
        EmbedserveError: it was refused, another operator was faster, or it was undone.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal ends a change as Ctrl-C does: by going back
        signal.signal(number, signal.default_int_handler)
    return Execution(console, service, change, options).run(current)
