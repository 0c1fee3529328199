"""The least that any gateway on this server does: it reads a body, hashes or parses it, and writes an answer of the usual length."""

from __future__ import annotations

import base64
import json
import socket

import numpy as np
import orjson
import uvicorn
from blake3 import blake3
from starlette.types import Receive, Scope, Send

from deployments.gateway import collector
from deployments.rpc import heap

DIMENSIONS = {"text": 384, "image": 512}


class Floor:
    """An application that answers every request with as many vectors as it is told, always the same."""

    def __init__(self, modality: str, items: int) -> None:
        """Answer with ``items`` vectors in base64."""
        vector = base64.b64encode(np.zeros(DIMENSIONS[modality], np.float32).tobytes()).decode()
        self._rows = [{"object": "embedding", "index": index, "embedding": vector} for index in range(items)]
        self._text = modality == "text"

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Read, look at each byte once, answer."""
        parts: list[bytes] = []
        more = True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if self._text:
            orjson.loads(body)
        else:
            blake3(body).digest()
        answer = orjson.dumps({"object": "list", "data": self._rows, "model": "null"})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


async def serve(modality: str, items: int) -> None:
    """Take requests until this process ends; it says at which port it listens."""
    collector.calm()
    heap.keep()
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    config = uvicorn.Config(
        Floor(modality, items), log_level="critical", lifespan="off", interface="asgi3", access_log=False
    )
    await uvicorn.Server(config).serve([listener])
