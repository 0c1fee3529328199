"""Runs in another Python, which has sentence-transformers or transformers: vectors of texts or pictures by a model folder.

Called with the path of a JSON file: ``folder``, ``texts`` or ``pictures`` (paths), and ``target``, the .npy file to write.
Imports nothing of this project.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Compute and write."""
    task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    vectors = (
        of_texts(task["folder"], task["texts"]) if "texts" in task else of_pictures(task["folder"], task["pictures"])
    )
    np.save(task["target"], np.asarray(vectors, np.float32))


def of_texts(folder: str, texts: list[str]) -> Any:
    """As ``SentenceTransformer.encode`` gives them."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu", local_files_only=True)
    model.float()
    return model.encode(texts, batch_size=8, convert_to_numpy=True, show_progress_bar=False)


def of_pictures(folder: str, paths: list[str]) -> Any:
    """As ``get_image_features`` of the model's class gives them."""
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModel

    model = AutoModel.from_pretrained(folder, local_files_only=True).float()  # from_pretrained gives it for inference
    processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    rows = []
    for path in paths:
        pixels = processor(images=Image.open(path).convert("RGB"), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            found = (
                model.get_image_features(pixel_values=pixels) if hasattr(model, "get_image_features") else model(pixels)
            )
        found = getattr(found, "image_embeds", getattr(found, "pooler_output", found))
        rows.append(found[0].numpy())
    return np.stack(rows)


if __name__ == "__main__":
    main()
