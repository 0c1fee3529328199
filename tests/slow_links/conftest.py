from __future__ import annotations

from collections.abc import Iterator

import pytest

from deployments.serve_internals.haproxy_rules import Rules
from tests.integration.waiting import wait
from tests.slow_links.front import Front
from tests.slow_links.gateway import running
from tests.slow_links.good import ask


@pytest.fixture(scope="package")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """HAProxy that waits a second for what it otherwise waits ten for, and a gateway behind it."""
    with running(tmp_path_factory.mktemp("gateway")) as gateway:
        front = Front(tmp_path_factory.mktemp("front"), [gateway.port], Rules(0.25))
        before = front.file.read_text()
        front.file.write_text(before.replace("timeout http-request 10s", "timeout http-request 1s"))
        assert front.file.read_text() != before
        with front.running():
            wait("a gateway behind HAProxy", lambda: not ask(front.port, 1).failures)
            yield front
