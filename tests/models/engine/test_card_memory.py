from __future__ import annotations

import pytest

from models.engine.buckets import Buckets
from models.engine.card_memory import CONTEXT_BYTES, RESIDENT, arena_limit, require_room
from models.engine.cards import GpuDevice, parse
from models.engine.shapes import buffer_bytes
from models.errors import ArtifactError

GIB = 1 << 30
MIB = 1 << 20


@pytest.mark.parametrize("gpus", [0.1, 0.25, 0.5, 1.0, 2.0], ids=lambda gpus: f"{gpus} of a card")
@pytest.mark.parametrize("card", [16 * GIB, 80 * GIB], ids=["16 GiB", "80 GiB"])
def test_replicas_that_fill_a_card_fit_on_it_with_two_artifacts_each(card: int, gpus: float) -> None:
    replicas = int(1 / gpus) if gpus < 1 else 1
    each = RESIDENT * arena_limit(card, gpus) + CONTEXT_BYTES
    assert replicas * each <= card * 0.9 + replicas


def test_half_a_card_is_this_many_bytes() -> None:
    assert arena_limit(80 * GIB, 0.5) == (36 * GIB - CONTEXT_BYTES) // 2


@pytest.mark.parametrize(("card", "gpus"), [(16 * GIB, 0.01), (GIB, 0.5), (80 * GIB, 0.0)])
def test_a_share_that_holds_nothing_is_refused_with_the_numbers(card: int, gpus: float) -> None:
    with pytest.raises(ArtifactError, match=rf"num_gpus: {gpus:g} of a card of {card // MIB:,} MiB"):
        arena_limit(card, gpus)


def test_a_model_must_leave_room_for_the_next() -> None:
    limit = arena_limit(16 * GIB, 0.1)
    with pytest.raises(ArtifactError, match=r"needs 2,000 MiB .* may take 481 MiB"):
        require_room(limit, 1500 * MIB, 500 * MIB)


def test_buffers_are_taken_from_what_the_arena_may_have() -> None:
    assert require_room(1000 * MIB, 400 * MIB, 100 * MIB) == 900 * MIB


@pytest.mark.parametrize("weights", [1000 * MIB, 1001 * MIB], ids=["all of it", "more"])
def test_weights_that_leave_nothing_are_refused_because_onnx_runtimes_count_would_wrap_round(weights: int) -> None:
    with pytest.raises(ArtifactError, match="the card's memory"):
        require_room(1000 * MIB, weights)


def test_each_shape_has_a_buffer_of_its_own() -> None:
    pictures = buffer_bytes({"pixels": ([None, 224, 224, 3], 1)}, Buckets((1, 2, 4)))
    assert pictures == 7 * 224 * 224 * 3
    texts = buffer_bytes({"ids": ([None, None], 8), "mask": ([None, None], 8)}, Buckets((1, 2), (8, 16), 16))
    assert texts == 2 * 8 * (8 + 2 * 8 + 16)


SMI = "81559, 9.0, NVIDIA H100 80GB HBM3\n"
ANSWERS = {
    "one card": (SMI, GpuDevice("NVIDIA H100 80GB HBM3", "9.0", 81559 * MIB)),
    "the smaller of two": (SMI + "15360, 7.5, Tesla T4\n", GpuDevice("Tesla T4", "7.5", 15360 * MIB)),
    "no card": ("No devices were found\n", None),
    "nothing": ("", None),
    "a card that says nothing of its memory": ("[N/A], 9.0, X\n", None),
}


@pytest.mark.parametrize(("output", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
def test_the_driver_tells_of(output: str, expected: GpuDevice | None) -> None:
    assert parse(output) == expected
