"""Long lists never hold so many places that short requests find none."""

from __future__ import annotations

import pytest

from deployments.http.places import Places
from models.errors import UnavailableError


def test_long_lists_hold_at_most_half_of_the_places() -> None:
    places = Places(lambda: 8)
    for _ in range(4):
        places.take()
        places.take_for_long()
    places.take()
    with pytest.raises(UnavailableError, match=r"4 long lists are open \(limit 4\)"):
        places.take_for_long()
    for _ in range(3):  # short requests go on
        places.take()
    places.leave_by_long()
    places.take_for_long()


def test_a_single_place_takes_a_long_list() -> None:
    places = Places(lambda: 1)
    places.take()
    places.take_for_long()
