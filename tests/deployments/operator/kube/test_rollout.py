"""Rollouts with and without ``--kube``: a good candidate gets everything, a bad one nothing, and none needs its process."""

from __future__ import annotations

import math
import subprocess
import threading
import time
from dataclasses import dataclass, field

import pytest
from click.testing import Result

from deployments.operator.document import routes
from models.errors import EmbedserveError
from tests.deployments.operator.kube.conftest import Cluster

TEXT, OLD, NEW = "text-embedding", "text-embedding@1.0.0", "text-embedding@1.1.0"
FAST = {0.005: 0.5, 0.01: 0.9, 0.02: 1.0, 0.05: 1.0, math.inf: 1.0}  # upper bound in s → part of the requests
SLOW = {0.005: 0.1, 0.01: 0.2, 0.02: 0.5, 0.05: 1.0, math.inf: 1.0}
QUICK = ("--steps", "5,50,100", "--every", "0.4s", "--min-requests", "200")


@dataclass
class Clients:
    """Counts as if 2,000 requests had come between two looks, shared out as the service says."""

    cluster: Cluster
    slow: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    overlap: float | None = None  # of the candidate's neighbours with the incumbent's
    answered: dict[str, float] = field(default_factory=dict)

    def exposition(self) -> str:
        lines = []
        for reference in (OLD, NEW):
            total = self.answered[reference] = self.answered.get(reference, 0) + 2000 * self.cluster.serve.share(
                reference
            )
            failed = total * 0.05 if reference in self.failing else 0.0
            labels = f'model="{TEXT}",version="{reference.partition("@")[2]}"'
            for code, count in (("200", total - failed), ("500", failed)):
                lines.append(f'ray_embedserve_requests_total{{{labels},code="{code}"}} {count}')
            for bound, part in (SLOW if reference in self.slow else FAST).items():
                le = "+Inf" if math.isinf(bound) else bound
                lines.append(
                    f'ray_embedserve_request_duration_seconds_bucket{{{labels},cache="miss",le="{le}"}} {total * part}'
                )
        pair = f'model="{TEXT}",version="1.1.0",other="1.0.0"'
        for bound, apart in (("mean", 0.0), ("low", -0.03), ("high", 0.03)):
            if self.overlap is not None:
                lines.append(
                    f'ray_embedserve_neighbour_overlap{{{pair},bound="{bound}"}} {self.overlap + apart}\n'
                    f'ray_embedserve_neighbour_inputs{{{pair},same="1"}} 256'
                )
        return "\n".join(lines) + "\n"


@pytest.fixture
def clients(cluster: Cluster) -> Clients:
    counting = Clients(cluster)
    cluster.serve.metrics = counting.exposition
    return counting


@dataclass
class Terminal:
    """Where somebody types commands, with or without ``--kube``."""

    cluster: Cluster
    kube: bool

    def __call__(self, *words: str) -> Result:
        return self.cluster.run(*words) if self.kube else self.cluster.plain(*words, "--no-kube")

    def apart(self, *words: str) -> subprocess.Popen[bytes]:
        line = self.cluster.with_kube(*words) if self.kube else self.cluster.without_kube(*words, "--no-kube")
        return self.cluster.apart(line)


@pytest.fixture(
    params=[
        pytest.param(True, id="a RayService", marks=pytest.mark.slow),
        pytest.param(False, id="Serve's REST API"),
    ]
)
def run(cluster: Cluster, clients: Clients, request: pytest.FixtureRequest) -> Terminal:
    return Terminal(cluster, kube=request.param)


def share(cluster: Cluster) -> float:
    return round(cluster.serve.share(NEW), 3)


def done(result: Result) -> str:
    assert result.exit_code == 0, (result.output, result.exception)
    return str(result.output)


def shares_of(cluster: Cluster) -> list[float]:
    """The candidate's shares in the order in which Serve was asked for them."""
    found: list[float] = []
    for document in cluster.serve.submitted:
        weights = routes(document, TEXT)["versions"]
        share = round(weights["1.1.0"] / sum(weights.values()), 3)
        found += [share] if not found or found[-1] != share else []
    return found


def test_a_good_candidate_gets_all_traffic_step_by_step(run: Terminal, cluster: Cluster) -> None:
    said = done(run("rollout", NEW, *QUICK))
    assert shares_of(cluster)[-3:] == [0.05, 0.5, 1.0]
    assert said.count("passed:") == 2


@pytest.mark.parametrize("fault", ["slow", "failing"])
def test_a_bad_candidate_is_undone_at_its_first_step(
    run: Terminal, cluster: Cluster, clients: Clients, fault: str
) -> None:
    getattr(clients, fault).add(NEW)
    result = run("rollout", NEW, *QUICK)
    with pytest.raises(EmbedserveError, match=r"stopped at 5 % \((p50|errors) .*the traffic is back where it was"):
        raise result.exception
    assert (share(cluster), shares_of(cluster)[-2:]) == (0, [0.05, 0])


@pytest.mark.parametrize(
    ("overlap", "end"),
    [pytest.param(0.05, 0, id="others"), pytest.param(0.6, 1, id="mostly the same", marks=pytest.mark.slow)],
)
def test_a_candidate_with_shadow_copies_must_answer_the_same_neighbours(
    run: Terminal, cluster: Cluster, clients: Clients, overlap: float, end: float
) -> None:
    done(run("route", TEXT, "1.0.0=100", "--shadow", "1.1.0=20"))
    clients.overlap = overlap
    result = run("rollout", NEW, *QUICK)
    assert share(cluster) == end
    if not end:
        with pytest.raises(EmbedserveError, match=r"stopped at 5 % \(neighbours 2% to 8% are the same"):
            raise result.exception


@pytest.mark.slow
def test_too_few_requests_or_no_metrics_hold_a_step(run: Terminal, cluster: Cluster) -> None:
    cluster.serve.metrics = str
    threading.Timer(2, lambda: setattr(cluster.serve, "metrics", Clients(cluster).exposition)).start()
    began = time.monotonic()
    said = done(run("rollout", NEW, *QUICK))
    assert "holds: metrics the service exports no metrics" in said
    assert time.monotonic() - began > 2


def killed_at(cluster: Cluster, run: Terminal, wanted: float) -> None:
    """A rollout whose process is killed as soon as Serve was asked for a share."""
    with run.apart("rollout", NEW, *QUICK) as process:
        try:
            deadline = time.monotonic() + 60
            while shares_of(cluster)[-1:] != [wanted]:
                assert time.monotonic() < deadline, shares_of(cluster)
                time.sleep(0.002)
        finally:
            process.kill()


@pytest.mark.parametrize("wanted", [0.05, pytest.param(0.5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", ["--resume", pytest.param("--abort", marks=pytest.mark.slow)])
def test_another_process_goes_on_with_or_undoes_a_rollout_whose_process_was_killed(
    run: Terminal, cluster: Cluster, wanted: float, how: str
) -> None:
    killed_at(cluster, run, wanted)
    done(run("rollout", NEW, how))
    assert share(cluster) == (1 if how == "--resume" else 0)
    with pytest.raises(EmbedserveError, match=r"it is over: .*(done|aborted)"):
        raise run("rollout", NEW, "--resume").exception


@pytest.mark.slow
def test_a_paused_rollout_stays_until_it_is_resumed(run: Terminal, cluster: Cluster) -> None:
    killed_at(cluster, run, 0.05)
    done(run("rollout", NEW, "--pause"))
    with pytest.raises(EmbedserveError, match=r"a rollout stands there: .*paused at step 1 of 3"):
        raise run("rollout", NEW, *QUICK).exception
    assert share(cluster) == 0.05
    done(run("rollout", NEW, "--resume"))
    assert share(cluster) == 1


def test_a_dry_run_shows_the_first_step_and_changes_nothing(run: Terminal, cluster: Cluster) -> None:
    before = len(cluster.serve.submitted)
    assert "nothing was changed" in done(run("rollout", NEW, "--dry-run"))
    assert (len(cluster.serve.submitted), share(cluster)) == (before, 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((NEW, "--steps", "5,1,100"), "growing percentages that end with 100"),
        ((NEW, "--steps", "5,50"), "growing percentages that end with 100"),
        ((NEW, "--every", "soon"), "must be a number of seconds, minutes or hours"),
        ((OLD,), "has all traffic"),
        (("text-embedding@9.9.9",), "is not served here"),
        ((NEW, "--resume"), "no rollout of text-embedding@1.1.0 stands there"),
        ((NEW, "--resume", "--abort"), "say one"),
        ((NEW, "--min-cosine", "0.9"), "--min-cosine compares shadow copies"),
        ((NEW, "--min-overlap", "0.9"), "--min-overlap compares shadow copies"),
    ],
    ids=[
        "steps that shrink",
        "no end",
        "no duration",
        "the incumbent",
        "unknown",
        "none",
        "two wishes",
        "no shadow",
        "no copies",
    ],
)
def test_a_wrong_call_says_what_would_be_right(cluster: Cluster, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(EmbedserveError, match=said):
        raise cluster.plain("rollout", *words, "--no-kube").exception
    assert share(cluster) == 0
