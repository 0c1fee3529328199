"""While a release changes, its gateways call encoders of the other one: over Serve's handle, which pickles what travels.

The earlier release's ``Queued`` had no ``hash``. Pickles in its layout are built from the class as it was then.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import Any

import pytest

from deployments.apps.encoder import Encoder
from deployments.contract.call import Queued
from deployments.contract.reply import EncodeReply, WrongArtifact
from deployments.encoder.batching import PreparedCall
from models.engine.session import EngineOptions
from models.engine.types import Vectors

VERSION = "text-embedding@1.1.0"


@dataclass(frozen=True, slots=True)
class Earlier:
    """``Queued`` as the earlier release had it."""

    gateway: str
    cost: int
    waiting: int
    refused: int = 0
    trace: tuple[str, ...] = ()


class Reader(pickle.Unpickler):
    """Reads what it is sent into the classes that its own release has under that name."""

    def __init__(self, sent: object, **classes: type) -> None:
        super().__init__(io.BytesIO(pickle.dumps(sent, protocol=5)))
        self._classes = classes

    def find_class(self, module: str, name: str) -> Any:
        return self._classes.get(name) or super().find_class(module, name)


def as_ours(sent: Earlier) -> Any:
    """What an encoder of this release gets."""
    return Reader(sent, Earlier=Queued).load()


@pytest.fixture(scope="module")
async def encoder() -> Any:
    found = Encoder.func_or_class(VERSION, "development")
    found._slot._loader.options = lambda *_: EngineOptions()  # the default asks Ray which cards this replica has
    batcher = found._batcher

    async def alone(call: PreparedCall) -> Vectors:
        return (await batcher.run([call]))[0]

    batcher.embed = alone  # Serve's batching works in its replicas only
    await found.reconfigure({"artifact": VERSION, "numerics": "mixed"})
    return found


async def test_a_call_of_an_earlier_gateway_is_computed(encoder: Any) -> None:
    queued = as_ours(Earlier("gateway", 3, 40, 1, ("a trace",)))
    assert type(queued) is Queued
    assert not hasattr(queued, "hash")  # what makes it the earlier layout
    reply = await encoder.encode(["a text"], queued)
    assert isinstance(reply, EncodeReply)
    assert reply.vectors.shape == (1, 384)
    assert reply.errors == {}


async def test_an_earlier_encoder_reads_a_call_of_ours_without_what_it_does_not_know(encoder: Any) -> None:
    sent = Queued("gateway", 3, 40, 1, ("a trace",), hash="h" * 64)
    assert Reader(sent, Queued=Earlier).load() == Earlier("gateway", 3, 40, 1, ("a trace",))
    assert isinstance(await encoder.encode(["a text"], Reader(sent).load()), WrongArtifact)  # ours knows it
