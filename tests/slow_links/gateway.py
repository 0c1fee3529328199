"""The gateway's whole HTTP application in a process of its own, without Ray: `python -m tests.slow_links.gateway FD FOLDER CONFIG`.

All answers come from its cache, so that what is measured is the way there and back. A POST to ``/counts`` tells what it counted.
"""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.integration.waiting import wait

DIMENSIONS = 4096
SMALL, LARGE = "a small text", "a text with a large vector"


def main() -> None:
    """Serve on an inherited socket until killed."""
    from deployments.contract.embedding import Embedding, Label
    from deployments.gateway import collector
    from deployments.gateway.cache.key import cache_key
    from deployments.serve_internals import http_hook, http_shortcut
    from tests.deployments.http.service import HASH, NUMERICS, application

    descriptor, folder, config = int(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    built = application(folder, **config)
    for text, size in ((SMALL, 4), (LARGE, DIMENSIONS)):
        vector = np.ones(size, np.float32)
        label = Label("m@1", HASH, numerics=NUMERICS)
        built.embeddings.cache.put(cache_key(label.identity, text), Embedding(vector, 5, label))

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        http_shortcut.SHORTCUT.open(built.app)
        await hook(scope, receive, send)

    async def others(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/counts":
            await built.app(scope, receive, send)
            return
        counts = {" ".join(labels): n for labels, n in built.requests().items()}
        cut = {labels[0]: n for labels, n in built.embeddings.metrics.cut_off._pending.items()}
        body = json.dumps(
            {"requests": counts, "cut_off": cut, "memory": memory(), "unreachable": gc.collect()}
        ).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    (outermost,) = http_hook.middlewares()
    hook: ASGIApp = outermost.cls(others)
    collector.calm()
    options: dict[str, Any] = {"lifespan": "off", "log_level": "warning", "interface": "asgi3", "access_log": False}
    uvicorn.Server(uvicorn.Config(serve, timeout_keep_alive=75, **options)).run(
        sockets=[socket.socket(fileno=descriptor)]
    )


def memory() -> int:
    """Resident bytes of this process."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096


@dataclass
class Gateway:
    """One that runs."""

    port: int

    def counts(self) -> dict[str, Any]:
        """What it counted so far, and its memory in bytes."""
        found: dict[str, Any] = httpx2.get(f"http://127.0.0.1:{self.port}/counts", timeout=30, trust_env=False).json()
        return found


@contextlib.contextmanager
def running(folder: Path, **config: Any) -> Iterator[Gateway]:
    """Run one until the block ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        descriptor, port = listener.fileno(), int(listener.getsockname()[1])
        command = [sys.executable, "-m", __name__, str(descriptor), str(folder), json.dumps(config)]
        with subprocess.Popen(command, pass_fds=[descriptor]) as process:
            try:
                gateway = Gateway(port)
                wait("the gateway", lambda: process.poll() is not None or bool(gateway.counts()))
                yield gateway
            finally:
                process.kill()


if __name__ == "__main__":
    main()
