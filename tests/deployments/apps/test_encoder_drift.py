"""An encoder notices by itself that its texts are in another language, and exports it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from deployments.apps.encoder import Encoder
from deployments.encoder.drift import reference_file, watch
from models.engine.session import EngineOptions

VERSION = "text-embedding@1.1.0"
ENGLISH = "the house near the river was sold last year to a family from the city for a good price"
RUSSIAN = "дом возле реки был продан в прошлом году семье из города по хорошей цене"


def texts(sentence: str, count: int) -> list[str]:
    words = sentence.split()
    return [" ".join(words[(i * step) % len(words)] for step in range(1, 6)) for i in range(count)]


async def test_another_language_raises_the_gauges_of_a_real_encoder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {"REFERENCE": 120, "WINDOW": 30, "LEAST": 30, "EVERY_S": 0.0}.items():
        monkeypatch.setattr(watch, name, value)
    monkeypatch.setattr(reference_file, "store", lambda: tmp_path)
    encoder: Any = Encoder.func_or_class(VERSION, "development")
    encoder._slot._loader.options = lambda *_: EngineOptions()  # the default asks Ray which cards this replica has
    await encoder.reconfigure({"artifact": VERSION, "numerics": "mixed", "drift_reference_s": 1e-6})

    async def embed(call: Any) -> Any:
        """Without Serve's batching, which needs a replica."""
        return (await encoder._batcher.run([call]))[0]

    monkeypatch.setattr(encoder._batcher, "embed", embed)
    told: dict[str, float] = {}
    gauges = encoder._metrics.drift
    for gauge, key in ((gauges.input_drift, "trait"), (gauges.embedding_drift, "of")):
        monkeypatch.setattr(gauge, "set", lambda value, labels, key=key: told.__setitem__(labels[key], value))

    async def evaluated() -> None:
        await encoder.check_health()
        await encoder._drift._task
        await encoder.check_health()  # hands over what was found

    for text in texts(ENGLISH, 120):
        await encoder.encode([text])
    await evaluated()
    for text in texts(ENGLISH, 30):
        await encoder.encode([text])
    await evaluated()
    assert max(told[name] for name in ("tokens", "unknown", "mean")) < 0.3
    await asyncio.gather(*(encoder.encode([text]) for text in texts(RUSSIAN, 40)))
    await evaluated()
    assert told["characters_per_token"] > 0.5
    assert told["mean"] > 0.3
    assert [path.name for path in (tmp_path / "drift").iterdir()] == [f"{encoder._slot.current.label.hash}-1.npz"]
