"""The baseline of ``python -m bench.models``: torch's plain ONNX exports of the same architectures.

Runs in an environment of its own, with torch and transformers. The text model has MiniLM's own weights
(``config.json`` and ``model.safetensors`` in the first folder), the image model random ones, which take the same time.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from transformers import BertModel, CLIPVisionConfig, CLIPVisionModelWithProjection

OPSET = 17
TEXT_INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


class Text(torch.nn.Module):  # type: ignore[misc]
    """Token ids to hidden states."""

    def __init__(self, model: torch.nn.Module) -> None:
        """Wrap a BertModel."""
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state


class Vision(torch.nn.Module):  # type: ignore[misc]
    """Normalised pixels to projected vectors."""

    def __init__(self, model: torch.nn.Module) -> None:
        """Wrap a CLIPVisionModelWithProjection."""
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.model(pixel_values=pixels).image_embeds


def main(weights: Path, target: Path) -> None:
    """Write plain_text.onnx and plain_vision.onnx into ``target``; ``weights`` may be the store's folder of files."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        if not (weights / name).exists():
            shutil.copyfile(next(weights.glob(f"*-{name}")), target / name)
    weights = weights if (weights / "config.json").exists() else target
    ids = torch.ones(2, 7, dtype=torch.long)
    model = BertModel.from_pretrained(weights, attn_implementation="eager").eval()
    axes = {name: {0: "n", 1: "t"} for name in [*TEXT_INPUTS, "last_hidden_state"]}
    path = str(target / "plain_text.onnx")
    names = {"input_names": TEXT_INPUTS, "output_names": ["last_hidden_state"]}
    torch.onnx.export(
        Text(model), (ids, ids, ids * 0), path, dynamic_axes=axes, opset_version=OPSET, dynamo=False, **names
    )
    config = CLIPVisionConfig(projection_dim=512, attn_implementation="eager")
    model = CLIPVisionModelWithProjection(config).eval()
    axes = {name: {0: "n"} for name in ("pixel_values", "image_embeds")}
    path = str(target / "plain_vision.onnx")
    names = {"input_names": ["pixel_values"], "output_names": ["image_embeds"]}
    pixels = torch.zeros(2, 3, 224, 224)
    torch.onnx.export(Vision(model), (pixels,), path, dynamic_axes=axes, opset_version=OPSET, dynamo=False, **names)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
