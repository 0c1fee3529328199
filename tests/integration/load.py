"""Requests for one text after the other, as long as something else is looked at."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

PAUSE_S = 0.02  # fifty requests a second at most: the browser needs a core too


@contextmanager
def load(url: str, key: str | None = None) -> Iterator[list[int]]:
    """Ask until the block ends; the status of each answer so far. Every fourth text was asked before."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    statuses: list[int] = []
    ended = threading.Event()

    def ask() -> None:
        with httpx2.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
            for number in itertools.count():
                text = "often" if number % 4 == 0 else f"text number {number}"
                answer = client.post("/v1/embeddings", json={"model": "text-embedding", "input": text})
                statuses.append(answer.status_code)
                if ended.wait(PAUSE_S):
                    return

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        ended.set()
        thread.join()
