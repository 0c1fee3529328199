"""Long lists never hold so many places that short requests find none."""

from __future__ import annotations

import contextlib
import time

import pytest

from deployments.http.places import PASSING, Places
from deployments.serve_internals.haproxy_rules import OPEN_PLACES, REFUSING
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


def test_while_haproxy_refuses_answers_tell_how_many_are_given_and_afterwards_no_more() -> None:
    places = Places(lambda: 100, lambda: 0.001)
    tickets = [places.take() for _ in range(90)]
    assert places.told is None
    places.heed([(b"host", b"a"), (REFUSING.encode(), b"1")])
    assert places.told == (OPEN_PLACES.encode(), b"100")
    while places.told == (OPEN_PLACES.encode(), b"100"):  # until the rate is known
        time.sleep(0.01)
        for _ in range(30):
            places.leave(tickets.pop(0))
            with contextlib.suppress(UnavailableError):
                tickets.append(places.take())
    assert places.told is not None
    few = int(places.told[1])
    assert few < 100
    while len(tickets) > few:
        places.leave(tickets.pop())
    tickets += [places.take() for _ in range(int(few * PASSING))]
    with pytest.raises(UnavailableError, match="requests are open"):
        places.take()
    for ticket in tickets:
        places.leave(ticket)
    while places.told is not None:
        time.sleep(0.01)
        places.leave(places.take())


def test_a_few_requests_are_never_too_many_whatever_a_header_says() -> None:
    places = Places(lambda: 100, lambda: 0.001)
    for _ in range(10):
        places.take()
        places.heed([(REFUSING.encode(), b"1")])
    assert places.told is None


def test_without_a_limit_of_time_all_places_are_given() -> None:
    places = Places(lambda: 100)
    for _ in range(100):
        places.take()
        places.heed([(REFUSING.encode(), b"1")])
    assert places.told is None
