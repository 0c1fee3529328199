"""How many requests of a job are under way at a running service."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.backfill.via_service.lane import Lane
from deployments.backfill.via_service.window import CALM_S, MOST, RECENT, Seen, Window, slowed
from models.errors import JobError


def after(window: Window, *seen: Seen, start: float = 0.0, step: float = 0.0) -> Window:
    for i, one in enumerate(seen):
        window = window.after(one, start + i * step)
    return window


def test_a_window_grows_by_one_for_each_round_of_answers_up_to_its_most() -> None:
    window, rounds = Window(), 0
    while window.places < 10:
        window = after(window, *["answered"] * window.places)
        rounds += 1
    assert 9 <= rounds <= 12
    assert after(window, *["answered"] * 10_000).places == MOST


def test_a_refusal_halves_it_once_however_many_requests_were_refused_together() -> None:
    window = after(Window(size=32.0), *["refused"] * 32, start=5.0)
    assert window.places == 16
    assert after(window, "refused", start=5.0 + CALM_S).places == 8
    assert after(Window(size=32.0), "slowed").places == 16


def test_a_service_that_refuses_everything_is_asked_one_request_at_a_time() -> None:
    assert after(Window(size=64.0), *["refused"] * 20, step=2 * CALM_S).places == 1


@given(st.lists(st.sampled_from(["answered", "refused", "slowed"]), max_size=300), st.floats(0, 3))
def test_a_window_has_between_one_place_and_the_most_whatever_it_sees(seen: list[Seen], step: float) -> None:
    window = Window()
    for i, one in enumerate(seen):
        before, window = window, window.after(one, i * step)
        assert 1 <= window.places <= MOST
        assert (window.size >= before.size) if one == "answered" else (window.size <= before.size)


def test_others_count_as_slowed_when_most_of_them_wait_longer_and_not_for_one_late_answer() -> None:
    before = [0.010 + 0.0001 * i for i in range(40)]
    assert not slowed(before, before[:RECENT])
    assert not slowed(before, [*before[: RECENT - 1], 0.5])
    assert not slowed(before, [0.5] * (RECENT - 1))  # too few to tell
    assert slowed(before, [*before[: RECENT - 3], 0.5, 0.5, 0.5])
    assert slowed(before, [0.018] * RECENT)
    assert not slowed(before, [0.015] * RECENT)
    assert not slowed([0.001] * 40, [0.0025] * RECENT)  # less than clocks and schedulers add


def test_a_lane_lets_as_many_in_as_its_window_has_and_lets_go_of_all_when_the_job_ends() -> None:
    lane, inside, most = Lane(), 0, 0
    lock = threading.Lock()

    def ask() -> None:
        nonlocal inside, most
        with lane.place():
            with lock:
                inside += 1
                most = max(most, inside)
            lane.saw("answered")
            with lock:
                inside -= 1

    with ThreadPoolExecutor(20) as pool:
        for done in [pool.submit(ask) for _ in range(200)]:
            done.result()
        assert most <= lane.window.places <= 20
        with ExitStack() as places:
            for _ in range(lane.window.places):
                places.enter_context(lane.place())
            waiting = pool.submit(ask)
            paused = pool.submit(lane.pause, 60)
            lane.close()
            with pytest.raises(JobError, match="the job ended"):
                waiting.result(timeout=10)
            paused.result(timeout=10)
