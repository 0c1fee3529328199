"""What the reference libraries make of the models of the zoo.

Runs in their environment, as scripts/reference.py does::

    .env-reference/bin/python -m scripts.zoo_families

Writes ``tests/data/zoo/families.json`` (the shapes of the weights, by the library's names) and ``families.npz`` (unit vectors,
float32, of each case's texts or pictures).
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict
from PIL import Image, ImageOps
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoImageProcessor, AutoModel
from transformers.utils import logging

from tests.data.zoo.families import (
    DATA,
    LONGEST,
    MODELS,
    MUTATED_TEXTS,
    PADDING,
    PICTURE_CASES,
    PICTURES,
    TEXT_CASES,
    TEXTS,
    Picture,
    Text,
    config_mutations,
    tokenizer,
    weight,
)

Vectors = NDArray[np.float32]
Shapes = dict[str, list[int]]


def main() -> None:
    """Compute everything and write it."""
    logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    shapes: dict[str, Shapes] = {}
    vectors: dict[str, Vectors] = {}
    for case in TEXT_CASES:
        shapes[case.name], vectors[case.name] = of_texts(case)
    for name, config in MODELS.items():
        towers = open_clip_towers(config) if name.startswith("open_clip") else transformers_towers(config)
        shapes[name] = filled(towers.model)
        vectors[f"{name}, texts"] = unit([towers.text(ids(text)) for text in TEXTS])
        for case in (case for case in PICTURE_CASES if case.whole == name):
            prepare = towers.preparation(case)
            vectors[case.name] = unit([towers.image(torch.as_tensor(prepare(opened(each)))[None]) for each in PICTURES])
    for name, found in vectors.items():
        print(name, np.round(found @ found.T, 3)[0])
    (DATA / "families.json").write_text(json.dumps(shapes, indent=0))
    np.savez_compressed(DATA / "families.npz", **vectors)
    mutants = list(config_mutations())
    found = np.stack([of_mutant(case, shapes) for case in mutants])
    print(
        f"{len(found)} mutations of config.json, of which the library takes {np.isfinite(found).all(axis=(1, 2)).sum()}"
    )
    np.savez_compressed(DATA / "families_mutated.npz", vectors=found)


def of_texts(case: Text) -> tuple[Shapes, Vectors]:
    """Shapes of the weights, and the mean of the token vectors of each text, of length 1."""
    config = deepcopy({key: value for key, value in case.config.items() if key != "model_type"})
    model = AutoModel.from_config(AutoConfig.for_model(case.config["model_type"], **config)).eval()
    shapes = filled(model)

    def mean(row: torch.Tensor) -> torch.Tensor:
        return model(input_ids=row, attention_mask=torch.ones_like(row)).last_hidden_state.mean(dim=1)

    return shapes, unit([mean(ids(text)) for text in TEXTS])


def of_mutant(case: Text, shapes: dict[str, Shapes]) -> Vectors:
    """Vectors of a case with a changed config.json; not a number where the library does not take it with these weights."""
    config = deepcopy({key: value for key, value in case.config.items() if key != "model_type"})
    try:
        model = AutoModel.from_config(AutoConfig.for_model(case.config["model_type"], **config)).eval()
        made = {n: torch.from_numpy(weight(n, tuple(shape))) for n, shape in shapes[case.weights].items()}
        lost = [
            n
            for n in model.load_state_dict(made, strict=False).missing_keys
            if model.state_dict()[n].is_floating_point()
        ]
        if any("pooler" not in name for name in lost):
            raise ValueError(lost)
        rows = [ids(text) for text in MUTATED_TEXTS]
        with torch.inference_mode():
            hidden = [
                model(input_ids=row, attention_mask=torch.ones_like(row)).last_hidden_state.mean(dim=1) for row in rows
            ]
        return unit(hidden)
    except Exception:  # whatever the library raises
        return np.full((len(MUTATED_TEXTS), 32), np.nan, np.float32)


@dataclass(frozen=True)
class Towers:
    """A model of texts and pictures."""

    model: Any
    text: Callable[[torch.Tensor], torch.Tensor]
    image: Callable[[torch.Tensor], torch.Tensor]
    preparation: Callable[[Picture], Callable[[Image.Image], Any]]


def transformers_towers(config: dict[str, Any]) -> Towers:
    """CLIP's or SigLIP's."""
    kind = config["model_type"]
    model = AutoModel.from_config(
        AutoConfig.for_model(kind, **{k: v for k, v in config.items() if k != "model_type"})
    ).eval()

    def text(row: torch.Tensor) -> torch.Tensor:
        if kind == "siglip":
            row = torch.nn.functional.pad(row, (0, LONGEST - row.shape[1]), value=PADDING)
            return model.text_model(input_ids=row).pooler_output
        return model.text_projection(model.text_model(input_ids=row, attention_mask=torch.ones_like(row)).pooler_output)

    def image(values: torch.Tensor) -> torch.Tensor:
        pooled = model.vision_model(pixel_values=values).pooler_output
        return pooled if kind == "siglip" else model.visual_projection(pooled)

    def preparation(case: Picture) -> Callable[[Image.Image], Any]:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "config.json").write_text(json.dumps(config))
            Path(folder, "preprocessor_config.json").write_text(json.dumps(case.file))
            processor = AutoImageProcessor.from_pretrained(folder, backend="pil", local_files_only=True)
        return lambda picture: processor(picture, return_tensors="np")["pixel_values"][0]

    return Towers(model, text, image, preparation)


def open_clip_towers(config: dict[str, Any]) -> Towers:
    """OpenCLIP's."""
    model = CLIP(**config).eval()

    def text(row: torch.Tensor) -> torch.Tensor:
        return model.encode_text(torch.nn.functional.pad(row, (0, LONGEST - row.shape[1])))

    def preparation(case: Picture) -> Callable[[Image.Image], Any]:
        settings = merge_preprocess_dict(PreprocessCfg(), case.file)
        return image_transform_v2(
            PreprocessCfg(**{**settings, "size": config["vision_cfg"]["image_size"]}), is_train=False
        )

    return Towers(model, text, model.encode_image, preparation)


def ids(text: str) -> torch.Tensor:
    """Token ids with start and end, int64 [1, t]."""
    words = Tokenizer.from_str(json.dumps(tokenizer()))
    words.enable_truncation(LONGEST)
    return torch.tensor([words.encode(text).ids])


def opened(name: str) -> Image.Image:
    """One of the tests' pictures, upright."""
    image = Image.open(io.BytesIO((DATA.parent / "pictures" / name).read_bytes()))
    image.load()
    return ImageOps.exif_transpose(image)


def unit(vectors: list[torch.Tensor]) -> Vectors:
    """The vectors below each other, of length 1."""
    return torch.nn.functional.normalize(torch.cat([v.detach() for v in vectors]), dim=-1).numpy()


def filled(model: Any) -> Shapes:
    """Give a model the weights of the formula; returns their shapes."""
    shapes = {name: list(array.shape) for name, array in model.state_dict().items() if array.is_floating_point()}
    made = {name: torch.from_numpy(weight(name, tuple(shape))) for name, shape in shapes.items()}
    missing = model.load_state_dict(made, strict=False)
    assert not missing.unexpected_keys
    return shapes


if __name__ == "__main__":
    main()
