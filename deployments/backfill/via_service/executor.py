"""The stages with a running service as the engine: this process reads and checks, and writes what comes back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from deployments.backfill import block
from deployments.backfill.block import Carried
from deployments.backfill.committing import Commit, Outcome
from deployments.backfill.executor import Assignment, Decision, Executor
from deployments.backfill.expectation import Expectation
from deployments.backfill.preparing import Checked, Prepare, Work, bad_row, modality_of
from deployments.backfill.proof import Proof
from deployments.backfill.via_service.client import ServiceClient, Vector
from deployments.backfill.via_service.lane import Lane
from deployments.backfill.via_service.probe import Probe
from models.engine import background
from models.errors import EmbedserveError, InputError
from models.modalities.base import Item

REQUEST_ITEMS = {"text": 8, "image": 2}  # of one request, at most: a gateway is busy with it for some milliseconds
CONNECTIONS = 32  # the gateway makes one call of what waits
BLOCKS_AHEAD = 2  # whose requests are under way while the oldest ends
Parts = list[Future[list[Vector | InputError]]]


class ServiceExecutor(Executor):
    """A service that answers at a URL."""

    def __init__(self, url: str) -> None:
        """Name it."""
        self._url = url

    def prove(self, assignment: Assignment) -> Proof:
        """What it was seen to compute; it is what is expected."""
        self._assignment, golden = assignment, assignment.expected.golden
        assert golden is not None
        return Proof("", assignment.expected.numerics or "", golden.tobytes(), golden.shape[1])

    def run(self, decision: Decision) -> Iterator[Outcome]:
        """Send blocks in requests of the bulk lane; their order is kept."""
        prepare, commit = self._assignment.prepare, decision.commit
        modality = modality_of(prepare.wanted.reference).name
        size = REQUEST_ITEMS.get(modality, 1)
        lane = Lane()
        with (
            _client(self._url, prepare.wanted.reference, decision.expected) as client,
            ThreadPoolExecutor(CONNECTIONS, initializer=background.enter) as pool,
            Probe(client, modality, lane),
        ):
            waiting: deque[tuple[Checked, Parts]] = deque()
            try:
                for checked in _checked(self._assignment.works, prepare, commit):
                    if isinstance(checked, Outcome):
                        yield checked
                        return
                    items = [item for _, item, _ in checked.good]
                    parts = [pool.submit(client.embed, part, lane) for part in _cut(items, size)]
                    waiting.append((checked, parts))
                    if len(waiting) > BLOCKS_AHEAD:
                        yield _ended(*waiting.popleft(), prepare, commit)
                while waiting:
                    yield _ended(*waiting.popleft(), prepare, commit)
            finally:
                lane.close()
                pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _client(url: str, reference: str, expected: Expectation) -> Iterator[ServiceClient]:
    client = ServiceClient(url, reference, expected, CONNECTIONS + 1)
    try:
        yield client
    finally:
        client.close()


def _checked(works: Sequence[Work], prepare: Prepare, commit: Commit) -> Iterator[Checked | Outcome]:
    """The blocks of the source; when one cannot be read, why."""
    for work in works:
        try:
            yield from prepare.checked(work)
        except EmbedserveError as error:
            yield commit(block.empty(work.slices[0].number, error=str(error)))
            return


def _cut(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _ended(checked: Checked, parts: Parts, prepare: Prepare, commit: Commit) -> Outcome:
    """Write a block whose answers have come."""
    try:
        answers = [one for part in parts for one in part.result()]
    except EmbedserveError as error:
        return commit(block.empty(checked.read.slice.number, error=str(error)))
    return commit(_carried(checked, answers, strings=prepare.source.string_ids))


def _carried(checked: Checked, answers: Sequence[Vector | InputError], *, strings: bool) -> Carried:
    read, bad = checked.read, list(checked.bad)
    fit: list[tuple[str | int, str, Vector]] = []
    for (row, _, digest), answer in zip(checked.good, answers, strict=True):
        one = read.ids[row]
        if isinstance(answer, InputError):
            bad.append(bad_row(read, row, answer))
        elif one is not None:
            fit.append((one, digest, answer))
    ids, digests = [one for one, _, _ in fit], [digest for _, digest, _ in fit]
    vectors = np.stack([vector for _, _, vector in fit]) if fit else np.zeros((0, 1), np.float32)
    table = block.embedded(ids, digests, vectors, strings=strings)
    carried = block.with_bad(block.empty(read.slice.number, read.slice.file), bad)
    return {**carried, "rows": block.pack(table), "kept": checked.kept}
