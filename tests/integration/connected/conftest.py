from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from tests.integration.documents import Document, drop_text_tower, fix_replicas, user_config
from tests.integration.isolated import Isolated, isolated
from tests.servers.otlp import Collector, collector
from tests.servers.picture_host import PictureHost, Trap
from tests.servers.redis_server import RedisServer

HUB = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co").hostname or ""


@dataclass
class Connected:
    """A service in the development profile and the servers around it, which it uses when it is told to."""

    running: Isolated
    collector: Collector
    cache: RedisServer  # not started
    host: PictureHost
    trap: Trap  # also the proxy that the environment names

    def configure(self, **gateway: Any) -> Document:
        """Run as shipped but for these keys of the gateway, and return the whole configuration."""
        document = copy.deepcopy(self.running.document)
        user_config(document).update(gateway)
        self.running.service.run(document)
        return document


def alone(document: Document) -> None:
    """One replica of everything, and nothing that fetches its files later, through the proxy."""
    drop_text_tower(document)
    fix_replicas(document, 1)


@pytest.fixture(scope="package")
def connected() -> Iterator[Connected]:
    authority, cache, trap = trustme.CA(), RedisServer(), Trap()
    host = PictureHost(authority, "127.0.0.2")

    def prepare(folder: Path) -> dict[str, str]:
        authority.cert_pem.write_to_path(folder / "authority.pem")
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "EMBEDSERVE_CACHE_URL": cache.url,
            "SSL_CERT_FILE": str(folder / "authority.pem"),
            "HTTPS_PROXY": f"http://127.0.0.1:{trap.port}",
            "NO_PROXY": HUB,  # would be asked six times, as one that hangs up
        }

    try:
        with collector() as received, isolated(change=alone, prepare=prepare) as running:
            trap.connections()  # by other downloads of models, which do use the proxy
            yield Connected(running, received, cache, host, trap)
    finally:
        host.close()
        trap.close()
        cache.remove()
