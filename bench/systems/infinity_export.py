"""Writes the models that infinity serves, from the same weights as ours; runs in infinity's own environment."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any


def export_text(folder: Path, target: Path) -> None:
    """The weights as fp32 ONNX, with the inputs and the output that optimum expects; infinity optimises it itself."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    target.mkdir(parents=True)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager", return_dict=False).eval()
    example = AutoTokenizer.from_pretrained(folder)(["one text", "and another one"], padding=True, return_tensors="pt")
    names = ["input_ids", "attention_mask", "token_type_ids"]
    ragged = {name: {0: "batch", 1: "tokens"} for name in [*names, "last_hidden_state"]}
    torch.onnx.export(
        model,
        tuple(example[name] for name in names),
        str(target / "model.onnx"),
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes=ragged,
        opset_version=17,
        dynamo=False,
    )
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        shutil.copyfile(folder / name, target / name)


def quantize_text(source: Path, target: Path) -> None:
    """The same graph in dynamic int8, made as the quantised files on model hubs are."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    shutil.copytree(source, target)
    quantize_dynamic(
        str(source / "model.onnx"), str(target / "model_quantized.onnx"), weight_type=QuantType.QInt8, per_channel=True
    )
    (target / "model.onnx").unlink()


def export_clip(target: Path) -> None:
    """ViT-B/32 with random weights and the real one's processor; its text half, which is never asked, is tiny."""
    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        CLIPTokenizer,
    )

    target.mkdir(parents=True)
    (target / "vocab.json").write_text(json.dumps({"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2, "a": 3}))
    (target / "merges.txt").write_text("#version: 0.2\n")
    small: dict[str, Any] = {"vocab_size": 8, "num_hidden_layers": 1, "bos_token_id": 0, "eos_token_id": 1}
    config = CLIPConfig(text_config=small, vision_config={"patch_size": 32})
    CLIPModel(config).eval().save_pretrained(target)
    tokenizer = CLIPTokenizer(str(target / "vocab.json"), str(target / "merges.txt"))
    CLIPProcessor(CLIPImageProcessor(), tokenizer).save_pretrained(target)


def main() -> None:
    """``infinity_export.py FOLDER``: make what is missing beside ``FOLDER/torch``."""
    root = Path(sys.argv[1])
    steps = {
        "onnx": lambda part: export_text(root / "torch", part),
        "int8": lambda part: quantize_text(root / "onnx", part),
        "clip": export_clip,
    }
    for name, make in steps.items():
        if not (root / name).is_dir():
            partial = root / f"{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            make(partial)
            partial.rename(root / name)


if __name__ == "__main__":
    main()
