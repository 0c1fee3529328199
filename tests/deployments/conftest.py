from __future__ import annotations

from typing import Any

import pytest
from ray import serve
from ray.serve.exceptions import RayServeException


@pytest.fixture(autouse=True, scope="session")
def no_ray() -> Any:
    """Serve knows no deployment here; asked for one, it would start a Ray of its own."""

    def not_there(*_: Any, **__: Any) -> Any:
        raise RayServeException("no Ray here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serve, "get_deployment_handle", not_there)
        yield
