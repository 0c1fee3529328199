"""The card's tests can pass: those whose logic needs no card run with the CPU standing in for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deployments.encoder.card_faults import Fault
from tests.gpu import test_card as card


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Fault().inject(monkeypatch, tmp_path)


@pytest.mark.parametrize("kind", ["text", pytest.param("image", marks=pytest.mark.slow)])
def test_neighbours(kind: str) -> None:
    card.test_neighbours_in_a_bucket_leave_an_input_its_bits(kind)


@pytest.mark.parametrize("kind", ["text", pytest.param("image", marks=pytest.mark.slow)])
def test_placement(kind: str) -> None:
    card.test_cuda_computes_when_it_is_asked_for(kind)
    card.test_what_costs_runs_on_the_card(kind)


def test_weights_without_room() -> None:
    card.test_weights_without_room_are_refused_before_they_are_loaded()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_pinned_memory() -> None:
    card.test_host_memory_is_pinned_in_both_slots()


@pytest.mark.parametrize("kind", ["text", pytest.param("image", marks=pytest.mark.slow)])
def test_fidelity(kind: str) -> None:
    card.test_fp16_on_the_card_is_as_good_as_fp32(kind)
    card.test_the_variant_for_cards_is_as_good(kind)
    card.test_fp32_on_the_card_is_fp32(kind)
