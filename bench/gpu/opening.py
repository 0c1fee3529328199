"""Opening a model for a measurement: on the card, on a CPU that stands in, or with an engine that waits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import onnxruntime as ort

from bench.gpu.null import emptied
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import Embedder, open_embedder
from models.engine.provider_options import Device
from models.engine.providers import CPU, Wish, choose
from models.engine.session import EngineOptions


@dataclass(frozen=True)
class Opening:
    """How models are opened."""

    wish: Wish
    null: bool = False

    @property
    def on_cpu(self) -> bool:
        """Whether no card computes."""
        return self.null or choose(self.wish, ort.get_available_providers())[0] == CPU

    def open(self, reference: str, largest: int, *, graphs: bool = False) -> Embedder:
        """A version of the catalogue.

        Args:
            reference: ``NAME@VERSION``.
            largest: run, in pictures or padded tokens.
            graphs: replay captured launches.
        """
        artifact = pull(Catalog.load().find(reference), allow_synthetic=True)
        options = EngineOptions(provider=self.wish, largest_run=largest)
        if self.null:
            options = replace(options, provider="cpu", bucketed=True)
            return emptied(open_embedder(artifact, options), graphs=graphs)
        return open_embedder(artifact, replace(options, device=Device(cuda_graph=graphs and not self.on_cpu)))
