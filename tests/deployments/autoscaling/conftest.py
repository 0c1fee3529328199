from __future__ import annotations

import pytest

from tests.deployments.autoscaling.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
