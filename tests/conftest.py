from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.time_by_folder import TimeByFolder

if TYPE_CHECKING:
    import tiktoken

    from tests.integration.service import Service

# Services under test serve what their configuration names on every machine; tests of the choice itself say what they want.
os.environ.setdefault("EMBEDSERVE_PRECISION", "fp32")


def _refuse() -> int:
    raise AssertionError(
        "this process has threads of libraries whose locks a forked one would wait for: start a program by subprocess"
    )


os.fork = _refuse


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(TimeByFolder())


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Coroutines of tests run on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture(scope="module")
def cl100k(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tiktoken.Encoding]:
    """The tokenizer of OpenAI's embedding models, also for LangChain in this process."""
    from tests.servers.openai_tokens import openai_tokens

    with openai_tokens(tmp_path_factory.mktemp("tiktoken")) as encoding:
        yield encoding


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service as shipped, for everybody who only asks it things.

    It keeps one replica of each kind whatever comes, so that another process id means a restart.
    """
    # Imported here, because Ray's import takes seconds and most tests do without.
    from tests.integration.documents import fix_replicas, shipped
    from tests.integration.service import QUICK, Service

    running = Service(tmp_path_factory.mktemp("service") / "log", environment=QUICK).wait()
    document = shipped()
    fix_replicas(document, 1)
    running.run(document)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=service.url, timeout=60, trust_env=False) as session:
        yield session
