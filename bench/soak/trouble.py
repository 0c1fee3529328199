"""What disturbs a soak: swaps, damaged requests, requests that are cut off."""

from __future__ import annotations

import itertools
import socket
import sys
import threading
from typing import Any

import httpx2

from bench.systems.running import TEXT_VERSIONS
from deployments.cluster.serve_api import ServeApi
from deployments.cluster.serve_file import ServeConfig
from tests.faults.mutate import bodies
from tests.integration.service import Service

SWAP_EVERY_S = 30.0
BAD_PER_S = 5.0


class Trouble:
    """Disturbs a service until the block ends."""

    def __init__(self, service: Service, api: ServeApi, document: dict[str, Any]) -> None:
        """Nothing happens yet."""
        self.swaps = 0
        self.bad: dict[str, int] = {}  # statuses of damaged requests
        self._service, self._api, self._document = service, api, document
        self._end = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._swap, self._send)]

    def __enter__(self) -> Trouble:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _swap(self) -> None:
        for target in itertools.cycle((TEXT_VERSIONS[1], TEXT_VERSIONS[0])):
            if self._end.wait(SWAP_EVERY_S):
                return
            self._document["applications"][1]["deployments"][0]["user_config"] = {"artifact": target}
            self._api.deploy(ServeConfig(self._document))
            self.swaps += 1

    def _send(self) -> None:
        with httpx2.Client(base_url=self._service.url, timeout=60, trust_env=False) as client:
            for number, (path, body) in enumerate(bodies(1, sys.maxsize)):
                if self._end.wait(1 / BAD_PER_S):
                    return
                if number % 5 == 0:
                    with socket.create_connection(("127.0.0.1", self._service.port), timeout=30) as half:
                        half.sendall(b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
                    continue
                status = str(client.post(path, content=body, headers={"content-type": "application/json"}).status_code)
                self.bad[status] = self.bad.get(status, 0) + 1
