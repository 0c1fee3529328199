from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.isolated import isolated
from tests.integration.service import Service


@pytest.fixture(scope="package")
def changing() -> Iterator[Service]:
    """A service that every module gives a configuration of its own."""
    with isolated() as running:
        yield running.service
