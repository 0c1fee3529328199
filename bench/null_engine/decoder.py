"""A decoder replica without Ray that gives every picture the same pixels; it says where it takes calls."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from bench.null_engine.encoder import PREPARATION, Decoded
from deployments.apps.decoder import Decoder
from deployments.rpc.server import HOST_VARIABLE

SIZE = 224


async def serve() -> None:
    """Take calls until this process ends."""
    os.environ[HOST_VARIABLE] = "127.0.0.1"
    decoder: Any = Decoder.func_or_class(threads=1)  # type: ignore[attr-defined]
    decoder.learn(PREPARATION, Decoded(SIZE))
    print(json.dumps(await decoder._rpc.start()), flush=True)
    await asyncio.Event().wait()
