from __future__ import annotations

from deployments.autoscaling.processor import Processor
from tests.deployments.autoscaling.clock import Clock


def test_a_process_knows_its_part_of_a_core() -> None:
    wall, used = Clock(), Clock()
    processor = Processor(wall, used)
    wall.pass_(4)
    used.pass_(1)
    assert processor.busy() == 0.25
    wall.pass_(1)
    assert processor.busy() == 0
