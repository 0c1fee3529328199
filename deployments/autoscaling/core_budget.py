"""How many replicas the cores of one machine carry, and which deployment gets them.

Ray believes that a small machine has more cores than it has, so that a second version starts beside the first: its own
placement does not bound replicas there. Seven encoders on two cores are slower than two, and take 450 MB each.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from models.errors import ConfigError

VARIABLE = (
    "EMBEDSERVE_CORES"  # how many cores there are, for a Ray that was told of more; none: Ray's placement decides
)
LISTEN_S = 2.0  # after its start a controller hears of every deployment within a second; nothing grows before
UNBOUNDED = 2**31  # more than any deployment wants
FORGET_S = 10.0  # Serve asks ten times a second: a deployment that did not ask for so long is gone


@dataclass(frozen=True, slots=True)
class Claim:
    """What one deployment has and wants, in replicas."""

    least: int  # it always gets these, whatever the cores carry: a version with none does not serve
    held: int  # aimed for so far, including those that are starting
    wanted: int  # for its work


def shares(claims: Mapping[str, Claim], cores: int) -> dict[str, int]:
    """What each deployment may have in the end: its least number, and of what is left as much of its wish as the others get.

    Args:
        claims: by deployment.
        cores: that there are, one for each replica.
    """
    given = {name: claim.least for name, claim in claims.items()}
    for _ in range(cores - sum(given.values())):
        hungry = [name for name, claim in claims.items() if given[name] < claim.wanted]
        if not hungry:
            break
        # Of equals the one that has more already: its replicas are warm.
        served = min(hungry, key=lambda name: (given[name] / claims[name].wanted, -claims[name].held, name))
        given[served] += 1
    return given


def allowed(name: str, claims: Mapping[str, Claim], cores: int) -> int:
    """How many replicas a deployment may aim for now: its share, as far as others have left theirs.

    Whatever the order in which deployments ask, all of them together never aim for more than there are cores, unless their
    least numbers alone do.

    Args:
        name: of the deployment.
        claims: its own and those of all others that share the cores.
        cores: that there are.
    """
    own = claims[name]
    taken = sum(max(claim.held, claim.least) for other, claim in claims.items() if other != name)
    return max(own.least, min(own.wanted, shares(claims, cores)[name], max(cores - taken, 0)))


class CoreBudget:
    """The claims of all deployments whose replicas share cores."""

    def __init__(self, cores: int | None) -> None:
        """Share ``cores``; None bounds nothing."""
        self._cores = cores
        self._claims: dict[str, tuple[float, Claim]] = {}  # when each was last heard of
        self._began: float | None = None  # when the first was heard of

    def limit(self, name: str, claim: Claim, now: float) -> int:
        """How many replicas a deployment may aim for, which are promised to it from then on.

        Args:
            name: of the deployment.
            claim: what it has and wants now.
            now: seconds, on any clock that all of them use.
        """
        if self._cores is None:
            return UNBOUNDED
        known = {other: entry for other, entry in self._claims.items() if now - entry[0] <= FORGET_S}
        known[name] = (now, claim)
        number = allowed(name, {other: entry[1] for other, entry in known.items()}, self._cores)
        self._began = now if self._began is None else self._began
        if now - self._began < LISTEN_S:
            number = max(claim.least, min(number, claim.held))
        # Promised before Serve acts on it, so that nobody else is promised the same core meanwhile.
        known[name] = (now, replace(claim, held=max(claim.held, number)))
        self._claims = known
        return number


def cores_of(environment: Mapping[str, str]) -> int | None:
    """The cores that replicas share; None where Ray knows how many there are.

    Raises:
        ConfigError: the variable is no number of cores.
    """
    said = environment.get(VARIABLE, "").strip()
    if not said:
        return None
    if not said.isascii() or not said.isdigit() or not 1 <= int(said[:6]) <= 4096:
        raise ConfigError(f"{VARIABLE} must be a number of cores, 1 to 4096, or empty, not {said!r:.40}")
    return int(said)


_BUDGETS: dict[str, CoreBudget] = {}


def of_this_process(pool: str) -> CoreBudget:
    """The budget of the deployments of one kind (encoders, gateways), whose policies all run in Serve's controller.

    Raises:
        ConfigError: the environment's number of cores is none.
    """
    if pool not in _BUDGETS:
        _BUDGETS[pool] = CoreBudget(cores_of(os.environ))
    return _BUDGETS[pool]
