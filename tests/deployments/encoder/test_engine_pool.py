from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator

import pytest

from deployments.encoder import engine_pool
from deployments.encoder.engine_pool import EnginePool
from models.errors import ArtifactError, UnavailableError


@pytest.fixture(autouse=True)
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_pool, "HOLD_S", 0.01)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a run waits for."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_result_is_a_proof() -> None:
    engine = EnginePool(1)
    assert engine.proved_at == -math.inf
    assert await engine.run(lambda a, b: a + b, 1, b=2) == 3
    assert engine.proved_at > 0


async def test_a_failure_ends_the_trust_in_what_was_proved() -> None:
    engine = EnginePool(1)
    await engine.run(int)
    with pytest.raises(UnavailableError, match="the engine failed"):
        await engine.run(lambda: 1 / 0)
    assert engine.proved_at == -math.inf


async def test_errors_on_purpose_stay_what_they_are() -> None:
    def refuse() -> None:
        raise ArtifactError("no vectors")

    with pytest.raises(ArtifactError, match="no vectors"):
        await EnginePool(1).run(refuse)


async def test_a_run_that_does_not_come_back_is_not_waited_for_and_neither_is_what_follows(
    gate: threading.Event,
) -> None:
    engine = EnginePool(1, timeout_s=0.05)
    with pytest.raises(UnavailableError, match="did not answer within"):
        await engine.run(gate.wait)
    with pytest.raises(UnavailableError, match="has not answered"):
        await engine.run(int)
    gate.set()  # slow and not stuck
    engine.timeout_s = 30
    while True:
        try:
            assert await engine.run(int) == 0
        except UnavailableError:
            continue
        return


async def test_whoever_gives_up_waiting_leaves_the_engine_usable(gate: threading.Event) -> None:
    engine = EnginePool(1, timeout_s=30)
    task = asyncio.ensure_future(engine.run(gate.wait))
    await asyncio.sleep(0)
    task.cancel()
    gate.set()
    assert await engine.run(int) == 0
