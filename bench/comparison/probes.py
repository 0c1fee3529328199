"""Inputs sent along with a load, whose vectors are compared with those of the same inputs embedded alone."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.loads.bodies import PictureBody, TextBody
from bench.loads.pictures import scenes
from bench.loads.texts import Texts
from bench.systems.server import Server
from bench.systems.targets import Target
from bench.systems.worker import Worker

COUNT = 4
PATIENCE_S = 60


@dataclass
class Probe:
    """Requests whose vectors are known, and how the answers compare."""

    bodies: list[bytes]
    path: str
    content_type: str
    references: list[Any]
    sent: int = 0
    identical: int = 0
    unanswered: int = 0
    least_cosine: float = 1.0

    def send(self, server: Server, seconds: float) -> None:
        """Send them spread over the middle of ``seconds`` and compare."""
        for body, reference in zip(self.bodies, self.references, strict=True):
            time.sleep(seconds / (len(self.bodies) + 2))
            answer = server.post(self.path, body, self.content_type, PATIENCE_S)
            self.sent += 1
            if answer is None:
                self.unanswered += 1
                continue
            vector = np.array(json.loads(answer)["data"][0]["embedding"], np.float32)
            self.compare(vector, np.array(reference, np.float32))

    def compare(self, vector: Any, reference: Any) -> None:
        """Count a vector with the same bits as its reference; keep the lowest cosine."""
        if vector.shape != reference.shape:
            self.least_cosine = 0.0
            return
        self.identical += int(vector.tobytes() == reference.tobytes())
        cosine = float(np.dot(vector.astype(np.float64), reference.astype(np.float64)))
        self.least_cosine = min(self.least_cosine, cosine)


class Probes:
    """Makes probes; the model alone computes their references before a load begins."""

    def __init__(self, worker: Worker) -> None:
        """References come from ``worker``, the ceiling's process."""
        self._worker = worker
        self._reference = {"fp32": "1.0.0", "int8": "1.1.0", "bf16": "1.0.0"}  # of peers

    def prepare(self, target: Target, texts: Texts, first: int) -> Probe:
        """Probes for a target in a load; a peer's pictures have other random weights and are not compared."""
        if target.modality == "image" and not target.reference:
            return Probe([], target.path, "", [])
        reference = target.reference or f"text-embedding@{self._reference[target.precision]}"
        if target.modality == "text":
            body = TextBody(target.path, target.model, texts, 1)
            inputs = texts.batch(first, COUNT)
            vectors = self._worker.ask({"model": reference, "texts": inputs})
            return Probe([body.around([text]) for text in inputs], body.path, body.content_type, vectors)
        raw = PictureBody(f"{target.path}/image?model={target.model}", target.model)
        files = [scenes()[n % len(scenes())].raw(n) for n in range(first, first + COUNT)]
        encoded = [base64.b64encode(data).decode() for data in files]
        vectors = self._worker.ask({"model": reference, "images": encoded})
        return Probe(files, raw.path, raw.content_type, vectors)
