from __future__ import annotations

import random

import pytest

from deployments.autoscaling.core_budget import FORGET_S, LISTEN_S, Claim, CoreBudget, allowed, cores_of, shares
from models.errors import ConfigError


@pytest.mark.parametrize(
    ("claims", "cores", "expected"),
    [
        ({"a": Claim(1, 1, 7), "b": Claim(1, 1, 1)}, 2, {"a": 1, "b": 1}),
        ({"a": Claim(1, 1, 7), "b": Claim(1, 1, 1)}, 8, {"a": 7, "b": 1}),
        ({"a": Claim(1, 1, 20), "b": Claim(1, 1, 20)}, 8, {"a": 4, "b": 4}),
        ({"a": Claim(1, 1, 20), "b": Claim(1, 1, 10)}, 9, {"a": 6, "b": 3}),
        ({"a": Claim(1, 1, 3), "b": Claim(1, 1, 20)}, 8, {"a": 1, "b": 7}),
        ({"a": Claim(1, 1, 2), "b": Claim(1, 5, 2)}, 3, {"a": 1, "b": 2}),
        ({"a": Claim(2, 2, 2), "b": Claim(2, 2, 9)}, 3, {"a": 2, "b": 2}),
        ({}, 4, {}),
    ],
    ids=[
        "least numbers take all of a small machine",
        "what an idle version leaves goes to the busy one",
        "equals get the same",
        "who needs twice as much gets twice as much",
        "nobody gets more than in proportion to its need",
        "of equals the one whose replicas are warm",
        "least numbers count for more than cores",
        "nobody asks",
    ],
)
def test_cores_are_shared(claims: dict[str, Claim], cores: int, expected: dict[str, int]) -> None:
    assert shares(claims, cores) == expected


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        (Claim(1, 1, 4), Claim(1, 7, 7), 1),
        (Claim(1, 7, 7), Claim(1, 1, 4), 5),
        (Claim(1, 3, 2), Claim(1, 1, 1), 2),
        (Claim(1, 1, 1), Claim(0, 12, 12), 1),
    ],
    ids=[
        "others keep what they have until they left it",
        "who has more than its share is to leave it",
        "fewer are always allowed",
        "a version is never without a replica",
    ],
)
def test_a_deployment_may_have(own: Claim, other: Claim, expected: int) -> None:
    assert allowed("own", {"own": own, "other": other}, 8) == expected


@pytest.mark.parametrize("seed", range(20))
def test_whatever_versions_want_in_whatever_order_they_never_aim_for_more_than_the_cores(seed: int) -> None:
    """Serve acts on a decision seconds later, or never, when the wish has changed by then."""
    chance = random.Random(seed)
    cores = chance.randint(1, 16)
    targets = dict.fromkeys("abcde"[: chance.randint(1, 5)], 1)
    budget, most = CoreBudget(cores), max(cores, len(targets))
    for now in range(300):
        for name in chance.sample(sorted(targets), chance.randint(1, len(targets))):
            wanted = chance.randint(1, 20)
            limit = budget.limit(name, Claim(1, targets[name], wanted), now / 10)
            if chance.random() < 0.7:
                targets[name] = min(wanted, limit)
        for name, target in targets.items():  # as Serve does ten times a second, so that none is forgotten
            budget.limit(name, Claim(1, target, target), now / 10)
        assert sum(targets.values()) <= most


def test_what_a_removed_deployment_had_is_free_again() -> None:
    budget = CoreBudget(4)
    assert budget.limit("removed", Claim(1, 4, 9), 0) == 4
    assert budget.limit("stays", Claim(1, 1, 9), LISTEN_S) == 1
    assert budget.limit("stays", Claim(1, 1, 9), FORGET_S + 1) == 4


def test_nothing_grows_before_all_have_been_heard_of() -> None:
    budget = CoreBudget(4)
    assert budget.limit("first", Claim(1, 2, 9), 0) == 2
    assert budget.limit("second", Claim(1, 1, 1), 0.1) == 1
    assert budget.limit("first", Claim(1, 2, 9), LISTEN_S) == 3


def test_where_ray_knows_the_cores_nothing_is_bounded() -> None:
    assert CoreBudget(cores_of({})).limit("any", Claim(1, 1, 900), 0) >= 900


@pytest.mark.parametrize("said", ["0", "-1", "2.5", "many", "\u0662", "9" * 5000])
def test_a_number_of_cores_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(ConfigError, match="EMBEDSERVE_CORES must be a number of cores"):
        cores_of({"EMBEDSERVE_CORES": said})
