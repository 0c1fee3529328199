"""How much of a card's memory a replica may take, so that two artifacts fit during a swap."""

from __future__ import annotations

from models.errors import ArtifactError

MIB = 1 << 20
# Part of a replica's share that arenas may take. The rest is for workspaces of cuBLAS and cuDNN, which no arena counts.
HEADROOM = 0.9
CONTEXT_BYTES = 512 * MIB  # of CUDA itself: 0.3 to 0.5 GB, which no arena counts either
RESIDENT = 2  # artifacts on the card during a swap


def arena_limit(card_bytes: int, num_gpus: float, *, headroom: float = HEADROOM) -> int:
    """The bytes that each session of a replica may allocate on its card.

    A replica's share is ``num_gpus`` of the card. The arenas of the old and the new artifact get half each of what is left
    after headroom and CUDA's context.

    Args:
        card_bytes: the card's memory.
        num_gpus: as in ``ray_actor_options``; above 1 a replica has whole cards and uses the first.
        headroom: the part of the share that arenas may take, above 0 up to 1.

    Raises:
        ArtifactError: nothing is left; the message has the numbers.
    """
    share = int(card_bytes * min(num_gpus, 1.0) * headroom)
    limit = (share - CONTEXT_BYTES) // RESIDENT
    if num_gpus <= 0 or limit <= 0:
        raise ArtifactError(
            f"num_gpus: {num_gpus:g} of a card of {_mib(card_bytes)} leaves {_mib(max(share, 0))}, of which CUDA itself "
            f"takes {_mib(CONTEXT_BYTES)}: no room for a model; raise num_gpus"
        )
    return limit


def require_room(limit: int, weights: int, buffers: int = 0) -> int:
    """Check that an artifact fits into the memory of one session; the next artifact gets as much.

    ONNX Runtime's own limit does not stop weights: it reserves them beside its arena, without asking whether they fit, and
    counts them. Beyond the limit the count wraps round, so that nothing is bounded any more: this must be asked before.

    Args:
        limit: bytes, from ``arena_limit``.
        weights: bytes of the weights.
        buffers: bytes of inputs and outputs on the card, which no session's arena counts.

    Returns:
        The bytes that the session's arena may have, weights included.

    Raises:
        ArtifactError: it does not fit; the message has the numbers.
    """
    needed = weights + buffers
    if needed >= limit:
        raise ArtifactError(
            f"the model needs {_mib(needed)} of the card's memory ({_mib(weights)} of weights, {_mib(buffers)} for inputs) and "
            f"may take {_mib(limit)}, so that the next one fits beside it during a swap; raise num_gpus, or lower batch_cost"
        )
    return limit - buffers


def _mib(count: int) -> str:
    return f"{count / MIB:,.0f} MiB"
