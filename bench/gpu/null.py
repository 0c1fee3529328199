"""An engine that computes nothing and takes as long as a card is to take: the whole measurement runs, and nothing of it is a card's."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from models.embedder import Embedder
from models.engine.card_engine import GpuEngine

PER_S = {"image": 25_000.0, "text": 150_000.0}  # that a card is to compute
SHARED = Path(tempfile.gettempdir()) / f"embedserve-null-card-{os.getuid()}"  # one card, whatever processes ask it


class NullSession:
    """What ``GpuEngine`` needs of a session. One run at a time computes, of all processes, as on a card that large batches fill."""

    def __init__(self, session: ort.InferenceSession, per_s: float) -> None:
        """A session with the inputs and outputs of another."""
        self._session, self._each_s = session, 1 / per_s

    def get_outputs(self) -> list[Any]:
        """Those of the other."""
        outputs: list[Any] = self._session.get_outputs()
        return outputs

    def get_providers(self) -> list[str]:
        """The CPU, whose memory stands in for the card's."""
        providers: list[str] = self._session.get_providers()
        return providers

    def io_binding(self) -> NullBinding:
        """Where inputs and the output lie."""
        return NullBinding()

    def run_with_iobinding(self, binding: NullBinding, options: ort.RunOptions | None = None) -> None:  # noqa: ARG002
        """Wait."""
        with SHARED.open("w") as card:
            fcntl.flock(card, fcntl.LOCK_EX)
            time.sleep(binding.rows * self._each_s)


class NullBinding:
    """Keeps the output that is bound."""

    def __init__(self) -> None:
        """Nothing is bound yet."""
        self.rows = 0
        self._output: ort.OrtValue | None = None

    def bind_ortvalue_input(self, _: str, value: ort.OrtValue) -> None:
        """An input, by name."""
        self.rows = value.shape()[0]

    def bind_ortvalue_output(self, _: str, value: ort.OrtValue) -> None:
        """The output, which is made of vectors of length 1."""
        value.numpy()[:] = np.eye(1, value.shape()[-1], dtype=np.float32)
        self._output = value

    def get_outputs(self) -> list[ort.OrtValue]:
        """The output."""
        assert self._output is not None
        return [self._output]


def emptied(embedder: Embedder, *, graphs: bool = False) -> Embedder:
    """The embedder with an engine that waits; it was opened in fixed shapes on the CPU."""
    graph = embedder.engine.graph
    assert isinstance(graph.bound, GpuEngine)
    session: Any = NullSession(graph.session, PER_S[embedder.artifact.spec.modality.name])
    bound = GpuEngine(session, graph.output, graph.bound.buckets, graphs=graphs)
    embedder.engine._graph = replace(graph, bound=bound)  # noqa: SLF001 - a measurement puts its own engine there
    return embedder
