"""Runs in another Python, which has the model's own library: vectors of texts or pictures by a model folder.

Called with the path of a JSON file: ``folder``, ``texts`` or ``pictures`` (paths), and ``target``, the .npy file to write.
Imports nothing of this project.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TOWERS = ("clip", "clip_text_model", "clip_vision_model", "siglip", "siglip_text_model", "siglip_vision_model")
OPEN_CLIP = "open_clip_config.json"


def main() -> None:
    """Compute and write."""
    import numpy as np

    task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder, items = Path(task["folder"]), task.get("texts") or task["pictures"]
    made = of_texts(folder, items) if "texts" in task else of_pictures(folder, items)
    np.save(task["target"], np.asarray(made, np.float32))


def of_texts(folder: Path, texts: list[str]) -> Any:
    """As the library of the folder's kind gives them."""
    if (folder / OPEN_CLIP).is_file():
        return _of_open_clip(folder, texts=texts)
    if (folder / "modules.json").is_file() or _config(folder).get("model_type") not in TOWERS:
        return _of_sentence_transformers(folder, texts)
    return _of_text_tower(folder, texts)


def of_pictures(folder: Path, paths: list[str]) -> Any:
    """The same of pictures."""
    from PIL import Image

    pictures = [Image.open(path).convert("RGB") for path in paths]
    if (folder / OPEN_CLIP).is_file():
        return _of_open_clip(folder, pictures=pictures)
    if (folder / "modules.json").is_file():
        return _of_sentence_transformers(folder, pictures)
    return _of_vision_tower(folder, pictures)


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


def _of_sentence_transformers(folder: Path, inputs: list[Any]) -> Any:
    """As ``SentenceTransformer.encode`` gives them."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    model.float()
    return model.encode(inputs, batch_size=8, convert_to_numpy=True, show_progress_bar=False)


def _of_text_tower(folder: Path, texts: list[str]) -> Any:
    """CLIP's or SigLIP's, which sees the padding."""
    import torch
    from transformers import AutoModel, AutoTokenizer, CLIPTextModelWithProjection

    config = _config(folder)
    kind = config["model_type"]
    longest = {**config, **config.get("text_config", {})}.get(
        "max_position_embeddings", 77 if kind[:4] == "clip" else 64
    )
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    loader = CLIPTextModelWithProjection if kind == "clip_text_model" else AutoModel
    model = loader.from_pretrained(str(folder), local_files_only=True).float()
    fill = "max_length" if kind.startswith("siglip") else False
    rows = []
    for text in texts:
        ids = tokenizer(text, truncation=True, max_length=longest, padding=fill, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            whole = hasattr(model, "get_text_features")
            rows.append(_vector(model.get_text_features(input_ids=ids) if whole else model(input_ids=ids)))
    return rows


def _of_vision_tower(folder: Path, pictures: list[Any]) -> Any:
    """That of a class of transformers, prepared by the folder's own processor."""
    import torch
    from transformers import AutoImageProcessor, AutoModel, CLIPVisionModelWithProjection

    loader = CLIPVisionModelWithProjection if _config(folder).get("model_type") == "clip_vision_model" else AutoModel
    model = loader.from_pretrained(str(folder), local_files_only=True).float()  # it is loaded for inference
    processor = AutoImageProcessor.from_pretrained(str(folder), backend="pil", local_files_only=True)
    rows = []
    for picture in pictures:
        pixels = processor(images=picture, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            whole = hasattr(model, "get_image_features")
            rows.append(_vector(model.get_image_features(pixel_values=pixels) if whole else model(pixels)))
    return rows


def _vector(output: Any) -> Any:
    """The vector in whatever a model of transformers returns for one input."""
    for name in ("image_embeds", "text_embeds", "pooler_output"):
        output = getattr(output, name, output)
    return output[0].numpy()


def _of_open_clip(folder: Path, *, texts: list[str] | None = None, pictures: list[Any] | None = None) -> Any:
    """OpenCLIP's, prepared as its folder says."""
    import open_clip
    import torch

    model, prepare = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    model = model.float().eval()
    with torch.inference_mode():
        if texts is None:
            return [model.encode_image(prepare(picture)[None])[0].numpy() for picture in pictures or []]
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        return [model.encode_text(tokenizer([text]))[0].numpy() for text in texts]


if __name__ == "__main__":
    main()
