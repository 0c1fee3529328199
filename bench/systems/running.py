"""The service with a configuration that can be changed while it runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from deployments.cluster.serve_api import ServeApi
from tests.integration.service import Service

TEXT_VERSIONS = ("text-embedding@1.0.0", "text-embedding@1.1.0")  # fp32 and int8: swaps go from one to the other


@contextmanager
def running(document: dict[str, Any]) -> Iterator[tuple[Service, ServeApi]]:
    """The service of ``document``, which learns its port, and Serve's REST API, which takes changes of ``document``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(document))
        service = Service(Path(folder) / "log", "--config", str(path)).wait()
        try:
            document["http_options"]["port"] = service.port
            yield service, ServeApi(service.dashboard)
        finally:
            service.stop()
