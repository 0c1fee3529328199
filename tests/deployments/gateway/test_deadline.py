"""A deadline that begins with the first wait, and otherwise does what a timeout of asyncio does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from deployments.gateway.deadline import within

LONG, SHORT = 60.0, 0.01  # seconds


async def after(turns: int, log: list[str] | None = None) -> str:
    try:
        for _ in range(turns):
            await asyncio.sleep(0)
    finally:
        if log is not None:
            log.append("left")
    return "done"


async def forever(log: list[str]) -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        log.append("cancelled")
        raise
    raise AssertionError


async def failing(turns: int) -> str:
    await after(turns)
    raise LookupError("not there")


@pytest.mark.parametrize("turns", [0, 1, 5])
async def test_what_is_done_in_time_gives_its_result(turns: int) -> None:
    assert await within(LONG, after(turns)) == "done"


@pytest.mark.parametrize("turns", [0, 1, 5])
async def test_what_fails_raises_its_own_error(turns: int) -> None:
    with pytest.raises(LookupError, match="not there"):
        await within(LONG, failing(turns))


async def test_what_waits_too_long_is_cancelled() -> None:
    log: list[str] = []
    with pytest.raises(TimeoutError):
        await within(SHORT, forever(log))
    assert log == ["cancelled"]


async def test_an_error_of_what_it_waits_for_reaches_it() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def heeding() -> str:
        try:
            return await future
        except LookupError:
            return "heard of it"

    task = asyncio.ensure_future(within(LONG, heeding()))
    await asyncio.sleep(0)
    future.set_exception(LookupError())
    assert await task == "heard of it"


async def test_a_cancellation_from_outside_is_none_of_the_deadlines() -> None:
    log: list[str] = []
    task = asyncio.ensure_future(within(LONG, forever(log)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["cancelled"]


@pytest.mark.parametrize("turns", [1, 5])
def test_closing_it_closes_what_it_runs(turns: int) -> None:
    log: list[str] = []
    loop = asyncio.new_event_loop()
    task = loop.create_task(within(LONG, after(turns, log)))
    stopped: Callable[[], None] = loop.stop
    loop.call_soon(stopped)
    loop.run_forever()
    coroutine = task.get_coro()
    assert coroutine is not None
    coroutine.close()
    assert log == ["left"]
    task.cancel()
    loop.close()
