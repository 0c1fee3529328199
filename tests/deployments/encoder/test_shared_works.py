"""Works that threads share: each is done once, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from deployments.encoder.shared_works import SharedWorks

TIMEOUT_S = 30


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.mark.parametrize("count", [0, 1, 3, 5000])
async def test_each_is_done_once_and_the_results_keep_their_order(threads: ThreadPoolExecutor, count: int) -> None:
    done: list[int] = []

    def work(number: int) -> int:
        done.append(number)
        return -number

    shared = SharedWorks([partial(work, number) for number in range(count)])
    for job in range(4):
        threads.submit(shared.run, job)
    await asyncio.wait_for(shared.ended, TIMEOUT_S)
    assert shared.results == [-number for number in range(count)]
    assert sorted(done) == list(range(count))


async def test_one_that_raises_ends_the_waiting(threads: ThreadPoolExecutor) -> None:
    go = threading.Event()

    def fail() -> None:
        raise ValueError("a defect")

    shared = SharedWorks([fail, go.wait])
    threads.submit(shared.run, 0)
    await asyncio.wait_for(shared.ended, TIMEOUT_S)
    assert str(shared.error) == "a defect"
    go.set()


async def test_what_hangs_is_given_up_and_what_it_comes_to_later_changes_nothing(threads: ThreadPoolExecutor) -> None:
    begun, go = threading.Event(), threading.Event()

    def hang() -> str:
        begun.set()
        go.wait()
        return "late"

    shared = SharedWorks([hang, lambda: "good"])
    hanging = threads.submit(shared.run, 0)
    await asyncio.to_thread(begun.wait)
    oldest = shared.oldest()
    assert oldest is not None
    assert shared.give_up(oldest - 1, "given up") == []
    assert shared.give_up(oldest, "given up") == [0]
    threads.submit(shared.run, 1)
    await asyncio.wait_for(shared.ended, TIMEOUT_S)
    go.set()
    await asyncio.to_thread(hanging.result)
    assert shared.results == ["given up", "good"]


async def test_those_that_wait_are_not_begun_once_nobody_wants_them(threads: ThreadPoolExecutor) -> None:
    begun, go, later = threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        go.wait()

    shared = SharedWorks([first, *[lambda: later.append(1)] * 10])
    job = threads.submit(shared.run, 0)
    await asyncio.to_thread(begun.wait)
    shared.stop()
    go.set()
    await asyncio.to_thread(job.result)
    assert later == []
