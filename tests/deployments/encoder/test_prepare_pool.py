"""A picture whose decoding does not come back is given up, once, and its replica counts as unhealthy until it does."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import pytest

from deployments.contract.call import Queued
from deployments.contract.items import Item
from deployments.encoder import decoders
from deployments.encoder.decoders import Decoders
from deployments.encoder.prepare_pool import PreparePool
from deployments.encoder.preparing import prepare_here
from models.errors import InputError, LimitError, UnavailableError
from models.modalities.base import Prepared

STUCK_S = 0.2


class Hanging:
    """Hangs at ``b"hang"`` until it is let go, and counts what it was asked for."""

    apart: ClassVar[bool] = True
    portable: ClassVar[bool] = True

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked: list[Item] = []

    def quick(self, items: Sequence[Item]) -> bool:
        return False

    def __call__(self, items: Sequence[Item]) -> list[Prepared]:
        self.asked += items
        if b"hang" in items:
            self.go.wait()
        return [np.zeros(1) for _ in items]


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    preparation = Hanging()
    yield preparation
    preparation.go.set()


async def test_what_hangs_is_given_up_and_what_came_with_it_is_prepared(hanging: Hanging) -> None:
    pool = PreparePool(2, "prepare", STUCK_S)
    good, bad, other = await prepare_here(pool, hanging, [b"good", b"hang", b"good"])
    assert isinstance(good, np.ndarray)
    assert isinstance(other, np.ndarray)
    assert isinstance(bad, LimitError)
    assert bad.code == "too_slow"
    assert hanging.asked.count(b"hang") == 1


async def test_a_replica_is_unhealthy_while_a_thread_hangs_and_no_longer(hanging: Hanging) -> None:
    pool = PreparePool(2, "prepare", STUCK_S)
    pool.check()
    await prepare_here(pool, hanging, [b"hang"])
    with pytest.raises(UnavailableError, match=r"1 inputs .* more than 0.2 s"):
        pool.check()
    assert len(await prepare_here(pool, hanging, [b"good"])) == 1
    hanging.go.set()
    pool.shutdown(wait=True)
    pool.check()


async def test_when_every_thread_hangs_others_are_sent_to_another_replica_and_do_not_wait(hanging: Hanging) -> None:
    pool = PreparePool(1, "prepare", STUCK_S)
    rows = await asyncio.gather(
        *(prepare_here(pool, hanging, [item]) for item in (b"hang", b"good", b"good")), return_exceptions=True
    )
    assert isinstance(rows[0][0], LimitError)
    assert all(isinstance(row, UnavailableError) for row in rows[1:])
    with pytest.raises(UnavailableError):
        await prepare_here(pool, hanging, [b"good"])
    assert hanging.asked == [b"hang"]


async def test_time_in_the_queue_does_not_count_against_a_picture() -> None:
    class Slow(Hanging):
        def __call__(self, items: Sequence[Item]) -> list[Prepared]:
            time.sleep(STUCK_S * 0.6)
            return super().__call__(items)

    rows = await prepare_here(PreparePool(1, "prepare", STUCK_S), Slow(), [b"good"] * 4)
    assert not any(isinstance(row, InputError) for row in rows)


class Silent:
    """A decoder's handle whose calls never come back."""

    def __init__(self) -> None:
        self.calls = 0
        self.decode = self

    def remote(self, *_: object) -> asyncio.Future[None]:
        self.calls += 1
        return asyncio.get_running_loop().create_future()


async def test_pictures_that_a_decoder_does_not_give_back_are_sent_to_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "TIMEOUT_S", 0.05)
    handle = Silent()
    rows = await Decoders(handle).prepare(Hanging(), [b"a", b"b"], Queued("g", 2, 0))
    assert [getattr(row, "code", None) for row in rows] == ["too_slow"] * 2
    assert handle.calls == 1
