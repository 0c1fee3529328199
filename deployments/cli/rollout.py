"""``embedserve rollout``: a candidate gets more and more of the traffic, under guards."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from deployments.cli.connect import connect
from deployments.cli.durations import parse_duration
from deployments.cli.json_output import AsJson, print_json
from deployments.cli.operator_options import (
    DASHBOARD,
    TIMEOUT_S,
    CoverageState,
    Dashboard,
    DryRun,
    Kube,
    Namespace,
    RayService,
    RequireCoverage,
    Timeout,
    Url,
    Verbose,
)
from models.errors import ConfigError

if TYPE_CHECKING:
    from deployments.operator.rollout.drive import Driver
    from deployments.operator.rollout.state import Rollout


def rollout(
    reference: Annotated[str, typer.Argument(help="name@version, served with weight 0 or some")],
    steps: Annotated[str, typer.Option(help="percent of the traffic, one after the other")] = "1,5,25,50,100",
    every: Annotated[str, typer.Option(help="how long each step lasts at least: 90s, 10m, 1h")] = "10m",
    pause: Annotated[bool, typer.Option("--pause", help="stay at the step; guards go on")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on here, also with one whose process died")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="give the traffic back to what had it before")] = False,
    slower: Annotated[float, typer.Option(min=1, help="times the incumbents' p50 or p99 that are too slow")] = 1.2,
    errors: Annotated[float, typer.Option(min=0, max=100, help="percent more failed requests that are too many")] = 0.1,
    min_cosine: Annotated[
        float | None,
        typer.Option(min=-1, max=1, help="mean cosine of shadow copies to the answers; else not looked at"),
    ] = None,
    min_overlap: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="share of an input's ten nearest that both versions find; 0.3 where there are shadow copies, 0: anything",
        ),
    ] = None,
    min_requests: Annotated[int, typer.Option(min=1, help="of the candidate in each step, before the next")] = 500,
    require_coverage: RequireCoverage = None,
    coverage_state: CoverageState = None,
    dashboard: Dashboard = DASHBOARD,
    url: Url = None,
    dry_run: DryRun = False,
    verbose: Verbose = False,
    timeout: Timeout = TIMEOUT_S,
    kube: Kube = None,
    namespace: Namespace = None,
    rayservice: RayService = None,
    as_json: AsJson = False,
) -> None:
    """Move traffic to a version step by step; go back by itself where the version fails, is slow, or answers otherwise."""
    from deployments.operator.change import Options
    from deployments.operator.document import split
    from deployments.operator.rollout import state
    from deployments.operator.rollout.drive import Driver as Driving
    from deployments.operator.rollout.guards import Limits
    from deployments.operator.rollout.notes import write_note

    if require_coverage is not None:
        from deployments.backfill.extras import require_data

        require_data()
    if pause + resume + abort > 1:
        raise ConfigError("--pause, --resume and --abort are three things; say one")
    model, _ = split(reference)
    reach = partial(connect, dashboard, url, kube, namespace, rayservice)
    driver = Driving(reach, Console(stderr=as_json), Options(dry_run, None, timeout, verbose=verbose))
    target = reach()
    current = target.read()
    if not target.url(current):
        raise ConfigError(
            "the guards read the service's /metrics, and this machine does not know where it is: say --url"
        )

    def tell(planned: Rollout) -> None:
        if as_json:
            print_json(planned if dry_run else state.of(reach().read(), model))

    if pause or resume or abort:
        words = "pause" if pause else "resume" if resume else "abort"
        standing = _standing(state.of(current, model), reference, words)

        def write(noted: Rollout) -> None:
            if not dry_run:
                write_note(target, current, noted, f"rollout {reference} --{words}")

        _by_hand(driver, standing, words, write)
        tell(standing)
        return
    if require_coverage is not None:
        from deployments.backfill import coverage

        hash_ = coverage.hash_of(reference, target.url(current))
        coverage.require(require_coverage, reference, hash_, coverage_state)
    limits = Limits(slower, errors / 100, min_cosine, min_overlap, min_requests)
    begun = state.begun(
        current, reference, parse_steps(steps), parse_duration(every, "--every"), uuid.uuid4().hex, limits
    )
    _drive(driver, begun if len(begun.steps) > 1 else state.with_phase(begun, "done"))
    tell(begun)


def _by_hand(driver: Driver, standing: Rollout, words: str, write: Callable[[Rollout], object]) -> None:
    """Pause, resume or abort. Who pauses a rollout leaves it to its driver; anybody else takes it over."""
    from deployments.operator.rollout import state

    if words == "pause":
        write(state.with_phase(standing, "paused", "by hand"))
        return
    taken = state.with_phase(replace(standing, driver=uuid.uuid4().hex), "running", "")
    write(taken)
    if words == "abort":
        driver.undo(taken, "aborted", "by hand")
    else:
        _drive(driver, taken)


def _drive(driver: Driver, rollout: Rollout) -> None:
    """Move it; Ctrl-C ends this process and leaves the traffic where it is."""
    try:
        driver.run(rollout)
    except KeyboardInterrupt:
        name = rollout.reference
        typer.echo(
            f"ended: the traffic stays where it is; `embedserve rollout {name} --resume` goes on, --abort undoes it"
        )
        raise typer.Exit(130) from None


def _standing(found: Rollout | None, reference: str, words: str) -> Rollout:
    """The rollout that is meant.

    Raises:
        ConfigError: there is none, it is another version's, or it is over.
    """
    if found is None or found.reference != reference:
        raise ConfigError(f"no rollout of {reference} stands there{f'; there is {found}' if found else ''}")
    if not found.open and not (words == "abort" and found.phase == "done"):
        raise ConfigError(f"it is over: {found}")
    return found


def parse_steps(text: str) -> list[float]:
    """Percentages, growing up to 100.

    Raises:
        ConfigError: they are none.
    """
    try:
        steps = [float(part) for part in text.split(",")]
    except ValueError:
        steps = []
    if not steps or steps != sorted(set(steps)) or not steps[0] > 0 or steps[-1] != 100:
        raise ConfigError(f"--steps {text!r} must be growing percentages that end with 100, such as 1,5,25,50,100")
    return steps
