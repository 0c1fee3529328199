"""How often replicas are asked where they are."""

from __future__ import annotations

import pytest

from deployments.serve_internals.replica_search import LOOK_AGAIN_S, LOOK_EVERY_S, pause_s

CALL_S = 0.005  # of processor time, to ask one through Serve


@pytest.mark.parametrize("replicas", [1, 8])
def test_few_replicas_are_found_soon(replicas: int) -> None:
    assert pause_s(replicas, missing=False) == LOOK_EVERY_S
    assert pause_s(replicas, missing=True) == LOOK_AGAIN_S


@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.parametrize("replicas", [9, 258, 2580])
def test_asking_many_takes_a_fifth_of_a_core_at_most(replicas: int, missing: bool) -> None:
    assert replicas * CALL_S / pause_s(replicas, missing=missing) <= 0.2001
