"""What the reference libraries make of changed descriptions of the zoo's towers.

Runs in their environment, as scripts/zoo_families.py does::

    .env-reference/bin/python -m scripts.zoo_towers

Writes ``tests/data/zoo/towers.npz``: ``texts`` [mutations, texts, 32] and ``pictures`` [mutations, 32], unit vectors, not a
number where the library does not take the description with these weights.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from transformers import (
    AutoConfig,
    AutoModel,
    CLIPTextModelWithProjection,
    CLIPVisionModelWithProjection,
    SiglipTextModel,
    SiglipVisionModel,
)
from transformers.utils import logging as library_logging

from scripts.zoo_families import ids, open_clip_towers, opened, transformers_towers, unit
from tests.data.zoo.families import DATA, LONGEST, MODELS, PADDING, PICTURE_CASES, PICTURES, shapes, weight
from tests.data.zoo.towers import WIDTH, WORDS, Mutant, tower_mutations

Vectors = NDArray[np.float32]
ALONE = {
    "clip_text_model": CLIPTextModelWithProjection,
    "clip_vision_model": CLIPVisionModelWithProjection,
    "siglip_text_model": SiglipTextModel,
    "siglip_vision_model": SiglipVisionModel,
}


def main() -> None:
    """Compute and write."""
    library_logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    pixels = {name: _pixels(name) for name in ("clip", "siglip", "open_clip")}
    mutants = list(tower_mutations())
    texts = np.full((len(mutants), len(WORDS), WIDTH), np.nan, np.float32)
    pictures = np.full((len(mutants), 1, WIDTH), np.nan, np.float32)
    for index, mutant in enumerate(mutants):
        values = pixels[mutant.whole]
        for rows, compute in ((texts[index], _texts), (pictures[index], lambda m: _picture(m, values))):  # noqa: B023
            with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
                _fill(rows, compute(mutant))
    for name, found in (("texts", texts), ("pictures", pictures)):
        print(
            f"{len(found)} descriptions, of which the library takes {np.isfinite(found).all(axis=(1, 2)).sum()}: {name}"
        )
    np.savez_compressed(DATA / "towers.npz", texts=texts, pictures=pictures[:, 0])


def _fill(rows: Vectors, vectors: Vectors) -> None:
    if np.isfinite(vectors).all() and vectors.shape[1] <= WIDTH:
        rows[:] = 0
        rows[:, : vectors.shape[1]] = vectors


def _pixels(name: str) -> torch.Tensor:
    case = next(case for case in PICTURE_CASES if case.whole == name)
    towers = open_clip_towers(MODELS[name]) if name == "open_clip" else transformers_towers(MODELS[name])
    return torch.as_tensor(towers.preparation(case)(opened(PICTURES[0])))[None]


def _model(mutant: Mutant) -> Any:
    described = deepcopy(mutant.config)  # the library changes what it is given
    if mutant.whole == "open_clip":
        model = CLIP(**described)
    else:
        kind = described.pop("model_type")
        config = AutoConfig.for_model(kind, **described)
        model = ALONE[kind](config) if kind in ALONE else AutoModel.from_config(config)
    return model.eval()


def _loaded(mutant: Mutant, tower: str) -> Any:
    """The model with the weights of the zoo; raises where one of this tower is missing."""
    model = _model(mutant)
    own = model.state_dict()
    made = {}
    for name, shape in shapes()[mutant.whole].items():
        # A tower alone may name its weights without the prefix that the whole model gives them.
        inner = name.removeprefix("text_model." if tower == "texts" else "vision_model.")
        made[name if name in own or inner not in own else inner] = torch.from_numpy(weight(name, tuple(shape)))
    missing = [name for name in model.load_state_dict(made, strict=False).missing_keys if own[name].is_floating_point()]
    pictures = ("vision_model", "visual")
    alone = not any(name.startswith(pictures) for name in own) or all(name.startswith(pictures) for name in own)
    lost = [
        name
        for name in missing
        if (alone or name.startswith(pictures) == (tower == "pictures")) and "logit" not in name
    ]
    if lost:
        raise ValueError(lost)
    return model


def _texts(mutant: Mutant) -> Vectors:
    model = _loaded(mutant, "texts")
    return unit([_text_vector(mutant, model)(ids(text)) for text in WORDS])


def _text_vector(mutant: Mutant, model: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    if mutant.whole == "open_clip":
        return lambda row: model.encode_text(torch.nn.functional.pad(row, (0, LONGEST - row.shape[1])))
    if mutant.whole == "siglip":
        tower = model.text_model if hasattr(model, "text_model") else model
        return lambda row: (
            tower(input_ids=torch.nn.functional.pad(row, (0, LONGEST - row.shape[1]), value=PADDING)).pooler_output
        )
    if mutant.config["model_type"] == "clip":
        return lambda row: model.text_projection(model.text_model(input_ids=row).pooler_output)
    return lambda row: model(input_ids=row).text_embeds


def _picture(mutant: Mutant, values: torch.Tensor) -> Vectors:
    model = _loaded(mutant, "pictures")
    if mutant.whole == "open_clip":
        return unit([model.encode_image(values)])
    if mutant.whole == "siglip":
        tower = model.vision_model if hasattr(model, "vision_model") else model
        return unit([tower(pixel_values=values).pooler_output])
    if mutant.config["model_type"] == "clip":
        return unit([model.visual_projection(model.vision_model(pixel_values=values).pooler_output)])
    return unit([model(pixel_values=values).image_embeds])


if __name__ == "__main__":
    main()
