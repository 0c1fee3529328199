from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Coroutines of tests run on asyncio, as the service does."""
    return "asyncio"
