from __future__ import annotations

from deployments.autoscaling.window_maximum import WindowMaximum


def test_the_highest_of_a_period_is_remembered_and_then_forgotten() -> None:
    maximum = WindowMaximum()
    noted = [(0, 5.0), (10, 9.0), (20, 1.0), (30, 3.0), (41, 2.0), (61, 2.0)]
    assert [maximum.note(time, value, 30) for time, value in noted] == [5, 9, 9, 9, 3, 2]
