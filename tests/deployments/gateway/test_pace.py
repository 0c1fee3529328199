from __future__ import annotations

import pytest

from deployments.gateway.pace import SAMPLES, Pace


def test_the_pace_is_the_time_between_calls_that_come_back_to_a_backlog() -> None:
    pace = Pace()
    pace.note(0.0, 1.0, 10, backlog=False)
    assert pace.seconds_per_cost == 0
    pace.note(0.5, 2.0, 10, backlog=True)  # began before the first came back: one second was its own
    assert pace.seconds_per_cost == 0  # one call says nothing
    for i in range(SAMPLES - 1):
        pace.note(1.5 + i, 3.0 + i, 20 if i % 5 else 1, backlog=True)  # now and then one that was held up
    assert pace.seconds_per_cost == pytest.approx(0.05)
