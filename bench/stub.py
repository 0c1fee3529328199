"""A text encoder without an engine: every call takes the same time and no processor. It measures what is around it."""

import asyncio
from typing import Any

import numpy as np
from ray import serve
from ray.serve import Application

from deployments.app import EncoderArgs, bind
from deployments.wire import Card, EncodeReply, Item, Label, Queued

SERVICE_S = 0.01
DIMENSIONS = 384
LABEL_HASH = "0" * 64


@serve.deployment(name="TextEncoder")
class StubEncoder:
    """Answers as ``TextEncoder`` does, with one and the same vector."""

    def __init__(self, reference: str) -> None:
        """Answer as ``name@version``."""
        self._label = Label(reference, LABEL_HASH)
        self._vector = np.full((1, DIMENSIONS), DIMENSIONS**-0.5, np.float32)

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take any configuration."""

    async def describe(self, max_age_s: float = 10.0) -> Card:  # noqa: ARG002 - as the encoder's
        """What it pretends to be."""
        return Card(self._label, "stub", "text", DIMENSIONS, "fp32", "stub", vocabulary=30522, max_tokens=256)

    async def encode(self, items: list[Item], queued: Queued | None = None) -> EncodeReply:  # noqa: ARG002
        """Take the fixed time, whatever the call holds."""
        await asyncio.sleep(SERVICE_S)
        return EncodeReply(self._label, np.repeat(self._vector, len(items), axis=0), [13] * len(items))


def text_encoder(args: EncoderArgs) -> Application:
    """The application of one version."""
    return bind(StubEncoder, args.model)
