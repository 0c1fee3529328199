"""How many requests of a job are under way at a running service."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.backfill.via_service.lane import Lane
from deployments.backfill.via_service.window import CALM_S, LATENESSES, MOST, RETURN_S, Window, limits_of, slowed
from models.errors import JobError


def rounds(window: Window, count: int, start: float = 0.0, each_s: float = 0.1) -> Window:
    """The window after so many rounds of answers to all that was under way."""
    for i in range(count):
        window = window.answered(window.places, start + i * each_s)
    return window


def test_a_window_grows_by_about_one_input_for_each_round_of_answers_up_to_its_most() -> None:
    assert 25 <= rounds(Window(), 40).places <= 41
    assert rounds(Window(), 10 * MOST).places == MOST


def test_a_refusal_halves_it_once_however_many_requests_were_refused_together() -> None:
    window = Window(size=32.0)
    for _ in range(32):
        window = window.after("refused", 5.0)
    assert window.places == 16
    assert window.after("refused", 5.0 + CALM_S).places == 8


def test_a_service_that_refuses_everything_is_asked_one_input_at_a_time() -> None:
    window = Window(size=64.0)
    for i in range(20):
        window = window.after("refused", i * 2 * CALM_S)
    assert window.places == 1
    assert window.rest(0.01) > 0.1
    assert rounds(window, 60, start=100.0).rest(0.01) == 0


def test_where_others_waited_longer_it_comes_back_slowly_and_goes_on_slowly_at_first() -> None:
    window = Window(size=100.0).after("slowed", 0.0)
    assert window.places == 50
    soon = rounds(window, 100, start=0.1, each_s=0.1)
    assert 74 <= soon.places <= 82
    later = rounds(soon, int(RETURN_S / 0.1) - 120, start=10.1, each_s=0.1)
    assert 90 <= later.places < 100
    beyond = rounds(later, 200, start=60.0)
    assert 100 < beyond.places < 125
    assert rounds(beyond, 2200, start=80.0).places == MOST  # nobody noticed for five minutes


@given(st.lists(st.sampled_from(["answered", "refused", "slowed"]), max_size=300), st.floats(0, 3))
def test_a_window_has_between_one_place_and_the_most_whatever_it_sees(seen: list[str], step: float) -> None:
    window = Window()
    for i, one in enumerate(seen):
        before = window
        if one == "answered":
            window = window.answered(before.places, i * step)
            assert window.size >= before.size
        else:
            window = window.after("refused" if one == "refused" else "slowed", i * step)
            assert window.size <= before.size
        assert 1 <= window.places <= MOST


def test_others_count_as_slowed_when_several_are_late_and_not_for_one_by_chance() -> None:
    before = [0.010 + 0.0001 * i for i in range(100)]
    limits = limits_of(before)
    assert limits == pytest.approx([0.0199 * 1.2, 0.019 * 1.2])
    assert not slowed(limits, before)
    for one, limit in zip(LATENESSES, limits, strict=True):
        late = limit + 0.0001 if limit == min(limits) else 0.5
        assert not slowed(limits, [*before[:90], *[late] * (one.late - 1)])
        assert slowed(limits, [*before[:90], *[late] * one.late])
        assert not slowed(limits, [*[late] * one.late, *before[: one.recent]])  # long ago
    assert limits_of([0.001] * 40) == [0.003] * 2  # clocks and schedulers add more than a fifth of a millisecond
    assert limits_of([]) == [float("inf")] * 2


def test_a_lane_has_as_many_inputs_under_way_as_its_window_and_lets_go_of_all_when_the_job_ends() -> None:
    lane, inside, most = Lane(), 0, 0
    lock = threading.Lock()

    def ask() -> None:
        nonlocal inside, most
        count = lane.take(4)
        assert 1 <= count <= 4
        with lock:
            inside += count
            most = max(most, inside)
        with lock:
            inside -= count
        lane.leave(count, answered=True)

    with ThreadPoolExecutor(20) as pool:
        for done in [pool.submit(ask) for _ in range(400)]:
            done.result()
        assert 1 <= most <= lane.window.places
        taken = 0
        while taken < lane.window.places:
            taken += lane.take(1)
        waiting = pool.submit(ask)
        paused = pool.submit(lane.pause, 60)
        lane.close()
        with pytest.raises(JobError, match="the job ended"):
            waiting.result(timeout=10)
        paused.result(timeout=10)


def test_inputs_leave_in_two_requests_however_the_window_grew() -> None:
    lane = Lane()
    while lane.window.places < 40:
        count = lane.take(32)
        lane.leave(count, answered=True)
    assert [lane.take(32), lane.take(32)] == [20, 20]
    lane.leave(3, answered=True)  # a small one, as the end of a block is
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lane.take, 32)
        assert not waiting.done()
        lane.leave(17, answered=True)
        assert waiting.result(timeout=10) >= 10
        lane.close()
