"""What a version's queue may hold, when a call leaves it, and how large: settings and the decisions that follow from them."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

CALM_S = 10.0  # without a user's request: bulk leaves in calls of any size
BULK_PART = 8  # of the largest call, the part that bulk fills while users are about: 128 tokens, 15 ms of two cores

# While so many requests wait, they wait longer than a call takes, and larger calls shorten that for all of them: half of what waits
# leaves at once, up to so many times ``call_cost``. A long list that waits with few others gets no larger calls.
CROWD = 8
GROWTH = 2


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Settings of one version's queue. Costs are tokens (text) or pictures."""

    call_cost: int = 1  # of one call, at most; a single item may cost more
    max_calls: int = 1  # under way at once, over all replicas
    replicas: int = 1  # that share those calls
    gather_s: float = 0.0  # how long a request may wait, at most, to leave in a larger call
    waiting_items: int = 1  # more are refused
    waiting_s: float = math.inf  # seconds of work that may wait; beyond it requests are refused
    bulk_waiting: float = 1.0  # part of both limits above which bulk is refused
    bulk_share: float = 1.0  # cost of bulk that leaves for each cost of others, while both wait

    def refusal(self, items: int, waiting_items: int, wait_s: float, *, bulk: bool) -> str | None:
        """Why a request is refused, or None.

        Args:
            items: of the request.
            waiting_items: that wait already.
            wait_s: seconds of work that wait already, at the measured pace.
            bulk: whether the request is bulk.
        """
        part, suffix = (self.bulk_waiting, " for bulk") if bulk else (1, "")
        limit = int(self.waiting_items * part)
        if waiting_items and waiting_items + items > limit:
            return f"{waiting_items} inputs wait already (limit {limit}{suffix})"
        limit_s = self.waiting_s * part
        if wait_s > limit_s:
            return f"{wait_s:.2f} s of work wait already (limit {limit_s:g} s{suffix})"
        return None

    def may_call(self, under_way: int) -> bool:
        """Whether another call may leave for requests that somebody waits for; those of bulk take no place."""
        return under_way < self.max_calls

    def may_call_for_bulk(self, users: int, bulk: int) -> bool:
        """Whether a call of bulk may leave beside so many for users and so many of bulk: a replica has nothing else to do."""
        return users < self.replicas and bulk < self.max_calls

    def bulk_call_cost(self, calm_s: float) -> int:
        """The cost of a call of bulk, at most, ``calm_s`` seconds after the last user asked.

        On a processor others pass a run that nobody waits for; a card and OpenVINO end what they began.
        """
        return self.call_cost if calm_s > CALM_S else max(1, self.call_cost // BULK_PART)

    def largest_call(self, waiting_requests: int, waiting_cost: int) -> int:
        """The cost of the next call, at most, for requests that somebody waits for.

        Args:
            waiting_requests: that have items which have not left.
            waiting_cost: of those items.
        """
        if waiting_requests < CROWD:
            return self.call_cost
        return min(max(self.call_cost, waiting_cost // 2), GROWTH * self.call_cost)

    def worth_a_call(self, waiting_cost: int, under_way: Collection[int], waited_s: float) -> bool:
        """Whether what waits should leave now, beside the calls that are under way, or gather on.

        Args:
            waiting_cost: of what users wait for.
            under_way: the cost of each call under way that somebody waits for.
            waited_s: how long the first request has waited while a call was free for it.
        """
        if len(under_way) < self.replicas or waited_s >= self.gather_s:
            return True
        # As much as the largest, because calls grow to one size then: with half of it, 8 clients with pictures stayed at calls of 1 to 3, and
        # now most are of 3 and 4 (a picture in a run of 4 takes two thirds of what it takes alone). A full call is worth it also beside one
        # that grew in a crowd: bf16 with lists of 16 lost 6 % while it waited.
        return waiting_cost >= min(max(under_way), self.call_cost)
