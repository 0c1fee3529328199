"""Text encoders without an engine: calls take a set time and no processor. They measure what is around them."""

import asyncio
import time
from typing import Any

import numpy as np
from ray import serve
from ray.serve import Application

from deployments.apps.builders import bind
from deployments.autoscaling.workload import BusyPool, Workload
from deployments.config.args import EncoderArgs
from deployments.contract.types import EncodeReply, Item, Label, ModelInfo, Queued
from deployments.rpc.server import Server

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
        self._channel = Server(self.encode)

    async def record_replica_metadata(self) -> dict[str, Any]:
        """As the encoder's: gateways call it over connections of their own."""
        return await self._channel.start()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take any configuration."""

    async def describe(self, max_age_s: float = 10.0) -> ModelInfo:  # noqa: ARG002 - as the encoder's
        """What it pretends to be."""
        return ModelInfo(self._label, "stub", "text", DIMENSIONS, "fp32", "stub", vocabulary=30522, max_tokens=256)

    async def encode(self, items: list[Item], queued: Queued | None = None) -> EncodeReply:  # noqa: ARG002
        """Take the fixed time, whatever the call holds."""
        await asyncio.sleep(SERVICE_S)
        return self._reply(len(items))

    def _reply(self, count: int) -> EncodeReply:
        return EncodeReply(self._label, np.repeat(self._vector, count, axis=0), [13] * count)


@serve.deployment(name="TextEncoder")
class TimedEncoder(StubEncoder.func_or_class):  # type: ignore[misc, name-defined]
    """Does one call after the other, each as long as a measured engine would, and reports its work as ``TextEncoder``."""

    def __init__(self, reference: str) -> None:
        """Answer as ``name@version``."""
        super().__init__(reference)
        self._engine = BusyPool(1, "engine")
        self._workload = Workload()
        self._call_s = self._item_s = 0.0

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take ``call_s`` and ``item_s``, and ``load_s`` to do so."""
        await asyncio.sleep(user_config["load_s"])
        self._call_s, self._item_s = user_config["call_s"], user_config["item_s"]

    def record_autoscaling_stats(self) -> dict[str, float]:
        """As the encoder's."""
        return self._workload.report(self._engine.busy())

    async def encode(self, items: list[Item], queued: Queued | None = None) -> EncodeReply:
        """Take as long as the items are worth."""
        queued = queued or Queued("", len(items), 0)
        seconds = self._call_s + len(items) * self._item_s
        self._workload.begin(queued)
        try:
            await asyncio.get_running_loop().run_in_executor(self._engine, time.sleep, seconds)
        finally:
            self._workload.end(queued)
        reply: EncodeReply = self._reply(len(items))
        return reply


def timed_encoder(args: EncoderArgs) -> Application:
    """The application of one version."""
    return bind(TimedEncoder, args.model)


def text_encoder(args: EncoderArgs) -> Application:
    """The application of one version."""
    return bind(StubEncoder, args.model)
