"""Good requests in a closed loop, and how long they take."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import httpx2

from tests.slow_links.gateway import SMALL


@dataclass
class Good:
    """What became of the good requests."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def p99_ms(self) -> float:
        """Of those that were answered."""
        return sorted(self.seconds)[int(len(self.seconds) * 0.99)] * 1000


def ask(port: int, count: int, *, pause_s: float = 0.0, fresh: bool = False, model: str = "m") -> Good:
    """Ask ``count`` times, one after the other; ``fresh`` connections for each, or one for all."""
    good = Good()
    limits = httpx2.Limits(max_keepalive_connections=0 if fresh else 1)
    body = {"model": model, "input": SMALL}
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False, limits=limits) as client:
        for _ in range(count):
            began = time.perf_counter()
            try:
                answer = client.post("/v1/embeddings", json=body)
            except httpx2.HTTPError as error:
                good.failures.append(repr(error))
                continue
            if answer.status_code == 200:
                good.seconds.append(time.perf_counter() - began)
            else:
                good.failures.append(f"{answer.status_code} {answer.text[:200]}")
            time.sleep(pause_s)
    return good
