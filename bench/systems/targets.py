"""The systems that are compared, and what each calls its models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.loads.bodies import Body, PictureBody, TextBody
from bench.loads.load import Load
from bench.loads.texts import Texts
from bench.systems import fastembed, infinity, naive, openvino, ours
from bench.systems.server import Server

STARTERS: dict[str, Callable[[Path], Server]] = {  # each takes the folder for its log and configuration
    "ours": ours.start,
    "default": ours.start_default,
    "naive": naive.start,
    "infinity": infinity.start,
    "fastembed": fastembed.start,
    "openvino": openvino.start,
}
OURS = ("ours", "default")


@dataclass(frozen=True)
class Target:
    """One model of one system."""

    system: str
    variant: str  # fp32, int8, torch, onnx: with the system's name it names a column of the results
    precision: str
    path: str
    model: str
    modality: str
    reference: str = ""  # name@version of the artifact that computes it, where it is one of ours

    @property
    def name(self) -> str:
        """``ours int8``."""
        return f"{self.system} {self.variant}"

    def body(self, load: Load, texts: Texts) -> Body | None:
        """The load's requests in this system's protocol; None where the system cannot take them."""
        if load.modality != self.modality:
            return None
        if load.modality == "text":
            if load.cached and self.system not in OURS:
                return None
            return TextBody(self.path, self.model, texts, load.items, load.cached)
        if load.encoding == "base64":
            return PictureBody(self.path, self.model, as_base64=True, modality=self.system == "infinity")
        if self.system not in OURS:
            return None
        return PictureBody(f"{self.path}/image?model={self.model}", self.model)


def targets() -> list[Target]:
    """Everything that is measured over HTTP, in the order of a round."""
    served = [
        Target("ours", spec.precision, spec.precision, "/v1/embeddings", spec.reference, spec.type, spec.reference)
        for spec in ours.measured()
    ]
    served += [
        Target("default", "auto", "", "/v1/embeddings", model, modality) for model, modality in ours.DEFAULT.items()
    ]
    plain = [Target("naive", p, p, "/v1/embeddings", p, "text") for p in ("fp32", "int8")]
    peer = [
        Target("infinity", "torch", "fp32", "/embeddings", "torch", "text"),
        Target("infinity", "onnx", "fp32", "/embeddings", "onnx", "text"),
        Target("infinity", "int8", "int8", "/embeddings", "int8", "text"),
        Target("infinity", "torch", "fp32", "/embeddings", "clip", "image"),
    ]
    fast = Target("fastembed", "onnx", "fp32", "/v1/embeddings", "all-MiniLM-L6-v2", "text")
    vino = [Target("openvino", p, q, "/v1/embeddings", p, "text") for p, q in (("f32", "fp32"), ("bf16", "bf16"))]
    return [*served, *plain, *peer, fast, *vino]


def known(target: Target, server: Server) -> Target:
    """A target with the precision and artifact that its running server chose for itself."""
    if target.precision:
        return target
    spec = ours.chosen(server, target.model)
    return replace(target, precision=spec.precision, reference=spec.reference)
