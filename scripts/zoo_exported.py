"""Small CLIP towers as PyTorch's exporter writes them, and the vectors that their library gives.

Runs in the reference libraries' environment, as scripts/zoo_families.py does::

    .env-reference/bin/python -m scripts.zoo_exported

Writes ``tests/data/zoo/exported-image.onnx``, ``exported-text.onnx`` and ``exported.npz`` with unit vectors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPVisionConfig, CLIPVisionModelWithProjection

DATA = Path(__file__).resolve().parents[1] / "tests" / "data" / "zoo"
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 16,
}
END = 99
MEAN, STD = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))  # CLIP's


def main() -> None:
    """Write the files."""
    torch.manual_seed(0)
    vision = CLIPVisionModelWithProjection(CLIPVisionConfig(**SIZES, image_size=32, patch_size=8)).eval()
    ids = {"vocab_size": 100, "max_position_embeddings": 12, "eos_token_id": END, "pad_token_id": 0, "bos_token_id": 1}
    text = CLIPTextModelWithProjection(CLIPTextConfig(**SIZES, **ids)).eval()
    for parameter in (*vision.parameters(), *text.parameters()):
        parameter.data.normal_(0, 0.2)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (3, 32, 32, 3), np.uint8)
    scaled = ((pixels / 255 - np.array(MEAN)) / np.array(STD)).transpose(0, 3, 1, 2).astype(np.float32)
    tokens = generator.integers(2, END, (3, 12))
    lengths = np.array([12, 3, 7])
    tokens[np.arange(3), lengths - 1] = END
    mask = (np.arange(12) < lengths[:, None]).astype(np.int64)
    tokens *= mask
    inputs = {"image": (torch.from_numpy(scaled),), "text": (torch.from_numpy(tokens), torch.from_numpy(mask))}
    names = {"image": ["pixel_values"], "text": ["input_ids", "attention_mask"]}
    found = {"pixels": pixels, "tokens": tokens, "mask": mask}
    for tower, model in (("image", vision), ("text", text)):
        output = f"{tower}_embeds"
        with torch.no_grad():
            vectors = getattr(model(*inputs[tower]), output).numpy()
        found[tower] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        torch.onnx.export(
            model,
            inputs[tower],
            str(DATA / f"exported-{tower}.onnx"),
            input_names=names[tower],
            output_names=[output],
            dynamic_axes={name: {0: "n"} for name in (*names[tower], output)},
            dynamo=False,
            opset_version=14,
        )
    np.savez(DATA / "exported.npz", **found)


if __name__ == "__main__":
    main()
