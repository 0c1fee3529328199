"""A backfill whose engine notes every block that it computes: ``python -m tests.faults.backfill_job SOURCE SINK LOG``."""

from __future__ import annotations

import os
import sys
import time
from functools import partial

import orjson

from deployments.backfill.block import Carried
from deployments.backfill.block_engine import BlockEngine
from deployments.backfill.expectation import Expectation
from deployments.backfill.job import Job, Machines, Rows, Rules, Vectors
from deployments.backfill.model import Wanted
from deployments.backfill.ray_executor import connected
from deployments.backfill.run import backfill
from tests.deployments.backfill.conftest import MODEL, Followed

BLOCK_ROWS = 8
SLOWER_S = 0.15  # a block: kills at random moments must find the job at work
LOG = "EMBEDSERVE_TEST_BLOCKS"


class NotingEngine(BlockEngine):
    """The real engine, with a line for each block; a line is written whole."""

    def __init__(self, wanted: Wanted, expected: Expectation, cpus: int, gpus: float) -> None:
        super().__init__(wanted, expected, cpus, gpus)
        self._log = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __call__(self, carried: Carried) -> Carried:
        os.write(self._log, f"{carried['number']}\n".encode())
        time.sleep(SLOWER_S)
        return super().__call__(carried)


def main() -> None:
    source, sink, log = sys.argv[1:]
    os.environ[LOG] = log
    job = Job(Rows(source, "sku", "title"), Vectors(MODEL, sink), Machines(), Rules(block_rows=BLOCK_ROWS))
    print(orjson.dumps(backfill(job, partial(connected, engine=NotingEngine), Followed())).decode())


if __name__ == "__main__":
    main()
