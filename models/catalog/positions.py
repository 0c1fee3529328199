"""How many tokens an encoder can place, as its config.json says it."""

from __future__ import annotations

from typing import Any

from models.errors import ArtifactError

OFFSET = {
    "roberta",
    "xlm-roberta",
    "camembert",
    "xlm-roberta-xl",
    "xmod",
    "mpnet",
    "longformer",
    "luke",
    "ibert",
    "data2vec-text",
}
DEFAULT_PADDING = 1  # ``pad_token_id`` of those, where config.json does not say it
KEYS = ("max_position_embeddings", "n_positions")


def positions_of(config: dict[str, Any]) -> int | None:
    """Rows of the table of positions that tokens use; None where it says none.

    RoBERTa and its kin count from behind the id of their padding: of 514 rows, 512 are used.

    Raises:
        ArtifactError: it says something that is no number of positions.
    """
    found = [config[key] for key in KEYS if config.get(key) is not None]
    if not found:
        return None
    rows, padding = found[0], config.get("pad_token_id")
    padding = DEFAULT_PADDING if padding is None or config.get("model_type") == "mpnet" else padding
    for key, value in (("max_position_embeddings", rows), ("pad_token_id", padding)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise ArtifactError(f"config.json: {key} must be a whole number, not {value!r:.60}")
    if rows < 0:  # XLNet has no table
        return None
    used = rows - padding - 1 if config.get("model_type") in OFFSET else rows
    if used < 3:
        raise ArtifactError(f"config.json: max_position_embeddings is {rows}, which leaves room for {used} tokens")
    return int(used)
