"""What proves to Serve's health checks that an encoder embeds."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.apps.encoder import PROOF_S, Encoder
from deployments.encoder import engine_pool
from models.engine.session import EngineOptions
from models.errors import EngineError

VERSION = "text-embedding@1.1.0"


@pytest.fixture
async def encoder(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One that has embedded nothing for a long time."""
    monkeypatch.setattr(engine_pool, "HOLD_S", 0.01)
    found = Encoder.func_or_class(VERSION, "development")
    found._slot._loader.options = lambda *_: EngineOptions()  # the default asks Ray which cards this replica has
    await found.reconfigure({"artifact": VERSION, "numerics": "mixed"})
    found.runs = 0
    submit = found._engine._pool.submit

    def counting(*arguments: Any) -> Any:
        found.runs += 1
        return submit(*arguments)

    found._engine._pool.submit = counting
    return found


async def test_health_checks_embed_only_where_nothing_else_proved_the_engine_lately(encoder: Any) -> None:
    for _ in range(5):
        await encoder.check_health()
    assert encoder.runs == 1
    encoder._engine.proved_at -= PROOF_S
    await encoder.check_health()
    assert encoder.runs == 2
    encoder._engine.proved_at -= PROOF_S
    await encoder._engine.run(int)  # as a request does
    await encoder.check_health()
    assert encoder.runs == 3


async def test_an_engine_that_failed_is_asked_for_a_proof_at_once(encoder: Any) -> None:
    await encoder.check_health()
    with pytest.raises(EngineError):
        await encoder._engine.run(lambda: 1 / 0)
    await encoder.check_health()
    assert encoder.runs == 3
