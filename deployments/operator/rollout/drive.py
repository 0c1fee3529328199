"""Moves a rollout: a step, a while under the guards, the next step; back to where it began when a guard says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from rich.console import Console
from rich.markup import escape

from deployments.cluster.serve_api import ClusterError
from deployments.operator import lock
from deployments.operator.change import Change, Options
from deployments.operator.converge import Expected, NotHealthyError, wait
from deployments.operator.document import Document, routes, split
from deployments.operator.execute import execute
from deployments.operator.plan import coloured, diff
from deployments.operator.preflight import require_ready
from deployments.operator.rollout import state
from deployments.operator.rollout.display import Display
from deployments.operator.rollout.guards import Finding, judge, verdict
from deployments.operator.rollout.notes import write, write_note
from deployments.operator.rollout.state import ALL, Rollout
from deployments.operator.served import traffic_stats
from deployments.operator.target import PATIENCE_S, Target
from deployments.operator.traffic_stats import TrafficStats
from models.errors import EmbedserveError, UnavailableError

POLL_S = 5.0  # Ray exports metrics every 10 s
SAY_S = 60.0  # between two lines of the same


class StoppedError(EmbedserveError):
    """A guard stopped the rollout, and the traffic is back where it was."""


@dataclass
class Driver:
    """The process that moves a rollout."""

    connect: Callable[[], Target]  # anew for each step: others write in between
    console: Console
    options: Options
    quiet_s: float = SAY_S
    _said: tuple[str, float] = ("", 0.0)

    def run(self, rollout: Rollout) -> None:
        """Move it from its step on, to its end or until somebody else takes it.

        Raises:
            StoppedError: a guard stopped it; it is undone.
            EmbedserveError: a step failed; what stands then is in the message.
        """
        while True:
            moved = self._move(rollout)
            if self.options.dry_run or (moved and rollout.phase == "done"):
                return
            after = self._watch(rollout if moved else replace(rollout, at=max(rollout.at - 1, 0), phase="running"))
            if after is None:
                return
            rollout = after

    def undo(self, rollout: Rollout, phase: state.Phase, reason: str) -> None:
        """Give the traffic back to what had it before. In one go: it must work while the candidate is broken."""
        ended = state.with_phase(rollout, phase, reason)
        if self.options.dry_run:
            current = self.connect().read()
            self.console.print(coloured(diff(current, state.undone(current, ended))), end="")
            return
        target, claim = self._insist(ended, f"rollout {rollout.reference} {phase}")
        try:
            wait(target, Expected(target.read(PATIENCE_S), claim), self.options.timeout_s, lambda _: None)
        except NotHealthyError as error:
            self._say(f"the old weights are asked for; not all is well yet: {error}", once=True)
        self._say(f"{phase}: the weights are those of before: {rollout.before}", once=True)

    def _insist(self, ended: Rollout, words: str) -> tuple[Target, lock.Claim]:
        """Write the weights from before, also when another command is at work just now or Serve's controller restarts."""
        deadline = time.monotonic() + self.options.timeout_s
        while True:
            try:
                target = self.connect()
                current = target.read(PATIENCE_S)
                return target, write(target, current, state.undone(current, ended), words)
            except (lock.ConflictError, ClusterError, UnavailableError) as error:
                if time.monotonic() >= deadline:
                    raise
                self._say(f"not undone yet: {error}")
            time.sleep(1)

    def _move(self, rollout: Rollout) -> bool:
        """Reach the rollout's step; whether nobody paused it just before."""
        target = self.connect()
        current = target.read(PATIENCE_S)
        model, _ = split(rollout.reference)
        noted = state.of(current, model)
        if noted is not None and noted.driver == rollout.driver and noted.phase == "paused" and noted.at < rollout.at:
            return False
        words = f"rollout {rollout.reference} {rollout.share:g} %"
        if routes(state.moved(current, rollout), model)["versions"] != routes(current, model)["versions"]:
            change = Change(words, model, partial(state.moved, rollout=rollout), routed=frozenset({rollout.reference}))
            execute(self.console, target, current, change, self.options)
        elif not self.options.dry_run:  # taken over in this step
            write_note(target, current, rollout, words)
        return True

    def _watch(self, rollout: Rollout) -> Rollout | None:
        """Stay in a step; the rollout in its next one, or None where it is no longer ours."""
        with Display(self.console) as display:
            return self._watch_on(rollout, display)

    def _watch_on(self, rollout: Rollout, display: Display) -> Rollout | None:
        began, since = time.monotonic(), self._counts()
        self._say(f"at {rollout.share:g} %: {rollout.every_s:g} s at least", once=True)
        while True:
            time.sleep(min(POLL_S, max(rollout.every_s / 4, 0.1)))
            try:
                document = self.connect().read(PATIENCE_S)
            except (ClusterError, UnavailableError) as error:
                self._say(f"holds: {error}")
                continue
            now = self._standing(document, rollout)
            if now is None:
                return None
            since = since or self._counts()
            findings = self._judged(document, rollout, since)
            display.show(now, findings, time.monotonic() - began)
            said = verdict(findings)
            if said == "stop":
                self._stop(now, findings)
            if now.phase == "paused":
                self._say("paused: --resume goes on")
            elif said == "hold":
                self._say("holds: " + _told([one for one in findings if one.verdict == "hold"]))
            elif time.monotonic() - began >= rollout.every_s:
                self._say("passed: " + _told(findings), once=True)
                following = replace(now, at=now.at + 1)
                return state.with_phase(following, "done" if following.share >= ALL else "running")

    def _standing(self, document: Document, rollout: Rollout) -> Rollout | None:
        """The rollout as it is noted, while it is this process's."""
        model, _ = split(rollout.reference)
        noted = state.of(document, model)
        if noted is None or noted.driver != rollout.driver or not noted.open:
            self._say(f"another process has it now: {noted or lock.last_change(document)}", once=True)
            return None
        if not state.stands(document, rollout):
            raise lock.ConflictError(
                f"{lock.last_change(document)} and changed the routes of {model}: the rollout leaves them; "
                "--resume goes on from its step, --abort goes back"
            )
        return noted

    def _counts(self) -> dict[str, TrafficStats]:
        target = self.connect()
        return traffic_stats(target.url(target.read(PATIENCE_S)))

    def _judged(self, document: Document, rollout: Rollout, since: dict[str, TrafficStats]) -> list[Finding]:
        model, candidate = split(rollout.reference)
        now = self._counts() if since else {}
        if not now:
            return [Finding("metrics", "hold", "the service exports no metrics to this machine or this API key")]
        windows = {name: counts.since(since.get(name, TrafficStats())) for name, counts in now.items()}
        others = [v for v, weight in routes(document, model)["versions"].items() if weight > 0 and v != candidate]
        incumbents = sum((windows.get(f"{model}@{v}", TrafficStats()) for v in others), TrafficStats())
        mine = windows.get(rollout.reference, TrafficStats())
        mine.neighbours = {other: found for other, found in mine.neighbours.items() if other in others}
        shadowed = bool(routes(document, model).get("shadow", {}).get(candidate))
        findings = judge(mine, incumbents, rollout.guard_limits, shadowed=shadowed)
        return [*findings, self._capacity(document, rollout)]

    def _capacity(self, document: Document, rollout: Rollout) -> Finding:
        try:
            require_ready(self.connect().versions(document), [rollout.reference])
        except EmbedserveError as error:
            return Finding("replicas", "hold", str(error))
        return Finding("replicas", "go", "ready")

    def _stop(self, rollout: Rollout, findings: list[Finding]) -> None:
        why = _told([one for one in findings if one.verdict == "stop"])
        self._say(f"stopped: {why}", once=True)
        self.undo(rollout, "undone", why)
        raise StoppedError(
            f"{rollout.reference} was stopped at {rollout.share:g} % ({why}); the traffic is back where it was"
        )

    def _say(self, text: str, *, once: bool = False) -> None:
        """Print a line with the time; the same kind of line only now and then."""
        kind, at = self._said
        now = time.monotonic()
        words = text.partition(":")[0]
        if once or words != kind or now - at >= self.quiet_s:
            self._said = (words, now)
            self.console.print(f"{time.strftime('%H:%M:%S')} {escape(text)}", highlight=False, soft_wrap=True)


def _told(findings: list[Finding]) -> str:
    return "; ".join(f"{finding.guard} {finding.text}" for finding in findings)
