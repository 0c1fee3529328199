from __future__ import annotations

import pytest

from deployments.observability.encoder_metrics import EncoderMetrics
from models.engine.providers import CPU, CUDA


def test_every_hand_over_names_the_provider_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray forgets a gauge that is not set again."""
    metrics = EncoderMetrics()
    told: dict[str, float] = {}
    monkeypatch.setattr(metrics.provider, "set", lambda value, tags: told.update({tags["provider"]: value}))
    metrics.note_provider(("m", "1"), CUDA)
    metrics.note_provider(("m", "1"), CPU)
    told.clear()
    metrics.flush()
    assert (told[CPU], told[CUDA]) == (1, 0)
