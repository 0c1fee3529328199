"""Whether a candidate's answers are worse than the incumbents', from what both counted in the same time. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deployments.operator.digits import digits
from deployments.operator.rollout.intervals import quantile, share
from deployments.operator.traffic_stats import QUANTILES, TrafficStats

Verdict = Literal["go", "hold", "stop"]
# Standard deviations on both sides of both figures, whose intervals must lie apart: a rollout is judged at each look, some
# hundreds of times, and simulated ones of an identical candidate are stopped in fewer than 5 of 100 (tests/…/test_guards.py).
Z = 2.5
SLACK_S = 0.001  # the narrowest bucket: what lies closer together, the histogram does not tell apart
FEW = 3  # failures that may be chance whatever the arithmetic says: one of the first ten requests is 10 percent
# Inputs that two versions embedded both, without which their neighbours are not judged.
COMPARED = 100
# Of the ten nearest of such inputs, on average, where a rollout does not say. Of sentences of documentation all-MiniLM-L6-v2 and
# paraphrase-MiniLM-L3-v2 share four, L6 and its int8 version 9.6, L6 and itself with its words' vectors dealt out anew one.
SAME = 0.3
TIMED = 100  # computed requests without which a latency is not judged, if fewer than ``min_requests``


@dataclass(frozen=True)
class Limits:
    """How much worse is too much."""

    slower: float = 1.2  # times the incumbents' latency: batches of another size alone make 10 percent
    errors: float = 0.001  # more of the requests than with the incumbents: an objective of 99.9 percent
    min_cosine: float | None = None  # of shadow copies, on average; None: another space is not compared
    # Of the ten nearest of an input, the share that both versions find; None: ``SAME`` where there are shadow copies, 0: anything.
    min_overlap: float | None = None
    min_requests: int = 500  # of the candidate in each step; p99 of fewer is one of its five slowest


@dataclass(frozen=True)
class Finding:
    """What one guard says."""

    guard: str
    verdict: Verdict
    text: str


def judge(
    candidate: TrafficStats, incumbents: TrafficStats, limits: Limits, *, shadowed: bool = False
) -> list[Finding]:
    """What each guard says of what was counted since a step began.

    Args:
        candidate: what it counted; ``neighbours`` holds what it has in common with the incumbents.
        incumbents: what they counted in the same time.
        limits: how much worse is too much.
        shadowed: whether the candidate gets copies of requests.
    """
    found = [_evidence(candidate, limits), _errors(candidate, incumbents, limits)]
    found += [_latency(candidate, incumbents, limits, part) for part in QUANTILES]
    if limits.min_cosine is not None:
        found.append(_cosine(candidate, limits.min_cosine))
    least = SAME if limits.min_overlap is None else limits.min_overlap
    found += [_neighbours(candidate, least)] if shadowed and least > 0 else []
    return found


def verdict(findings: list[Finding]) -> Verdict:
    """The gravest of what the guards say."""
    said = {finding.verdict for finding in findings}
    return "stop" if "stop" in said else "hold" if "hold" in said else "go"


def _evidence(candidate: TrafficStats, limits: Limits) -> Finding:
    enough = candidate.answered >= limits.min_requests
    text = f"{candidate.answered:.0f} of {limits.min_requests} requests"
    return Finding("traffic", "go" if enough else "hold", text)


def _errors(candidate: TrafficStats, incumbents: TrafficStats, limits: Limits) -> Finding:
    """Answers of 400 count too: a model that fails at an input is one, and clients' own mistakes come to all versions alike."""
    if incumbents.answered <= 0:
        return Finding("errors", "hold", "no request of the incumbents to compare with")
    bad, usual = (one.failed + one.refused for one in (candidate, incumbents))
    low, _ = share(bad, candidate.answered, Z)
    _, high = share(usual, incumbents.answered, Z)
    worse = bad >= FEW and low > max(high, usual / incumbents.answered + limits.errors)
    rate = bad / candidate.answered if candidate.answered else 0.0
    return Finding("errors", "stop" if worse else "go", f"{rate:.2%} against {usual / incumbents.answered:.2%}")


def _latency(candidate: TrafficStats, incumbents: TrafficStats, limits: Limits, part: float) -> Finding:
    name = f"p{part * 100:g}"
    needed = min(limits.min_requests, TIMED)
    counts = [max(one.computed.values(), default=0.0) for one in (candidate, incumbents)]
    if min(counts) < needed:
        text = f"{counts[0]:.0f} and {counts[1]:.0f} computed requests, {needed} of each needed"
        return Finding(name, "hold", text)
    low, high = quantile(candidate.computed, part, Z)
    its_low, its_high = quantile(incumbents.computed, part, Z)
    slow = low > its_high * limits.slower + SLACK_S
    text = f"{_ms(low)} to {_ms(high)} ms against {_ms(its_low)} to {_ms(its_high)}"
    return Finding(name, "stop" if slow else "go", text)


def _cosine(candidate: TrafficStats, least: float) -> Finding:
    count = max(candidate.cosines.values(), default=0.0)
    needed = TIMED
    if count < needed:
        return Finding("cosine", "hold", f"{count:.0f} of {needed} shadow copies")
    mean = candidate.cosine_sum / count
    far = max(0.0, 1 - mean) / count  # variance of the mean, at most: values lie between 0 and 1
    high = mean + Z * far**0.5
    return Finding("cosine", "stop" if high < least else "go", f"{mean:.4f} on average, at least {least:g} is wanted")


def _neighbours(candidate: TrafficStats, least: float) -> Finding:
    known = {other: found for other, found in candidate.neighbours.items() if found.inputs >= COMPARED}
    if not known:
        most = max((found.inputs for found in candidate.neighbours.values()), default=0.0)
        text = f"{most:.0f} of {COMPARED} different inputs compared; --min-overlap 0 goes without"
        return Finding("neighbours", "hold", text)
    worst = min((found.overlap for found in known.values() if found.overlap), key=lambda one: one.high, default=None)
    if worst is None:
        return Finding("neighbours", "hold", "the interval is missing")
    text = f"{worst.low:.0%} to {worst.high:.0%} are the same, at least {least:.0%} are wanted"
    return Finding("neighbours", "stop" if worst.high < least else "go", text)


def _ms(seconds: float) -> str:
    return digits(seconds * 1000)
