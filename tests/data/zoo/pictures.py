"""Folders that prepare pictures in every way that people have on disk, and their mutations; shared with the script that runs
the reference libraries, so nothing here needs more than numpy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 24  # of the squares that the zoo's models take
DIMENSIONS = 16
PICTURES = ("exif-1.jpg", "225x1000.jpg", "1x1.png", "rgba.png", "l.jpg", "grey16-dark.png")
FEW = PICTURES[:2]  # of mutations: RGB, so that they need no conversion
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]
DROPPED = object()


@dataclass(frozen=True)
class Case:
    """The files of one folder beside its graph."""

    name: str
    files: dict[str, Any]
    pictures: tuple[str, ...] = PICTURES
    shape: tuple[int, int] = (SIDE, SIDE)  # height and width that the model takes

    def write(self, folder: Path) -> Path:
        """Write the files into a folder, which is made."""
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            (folder / name).write_text(json.dumps(content))
        return folder


def projection(shape: tuple[int, int] = (SIDE, SIDE)) -> NDArray[np.float64]:
    """What the zoo's finished graph multiplies pixel values [3 · height · width] by, to [DIMENSIONS]."""
    count = 3 * shape[0] * shape[1]
    angles = np.arange(1, count * DIMENSIONS + 1, dtype=np.float64) ** 2 * 0.37
    return np.cos(angles).reshape(count, DIMENSIONS)


FULL = {
    "do_resize": True,
    "size": {"shortest_edge": SIDE},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": SIDE, "width": SIDE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": MEAN,
    "image_std": STD,
    "do_convert_rgb": True,
}
SQUARE = {"height": SIDE, "width": SIDE}
HALF = [0.5, 0.5, 0.5]
# By the class that transformers takes; each as its own `save_pretrained` or an older one has written it.
BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "clip": ("clip", {"image_processor_type": "CLIPImageProcessor", **FULL}),
    "clip-of-2021": (
        "clip",
        {
            "crop_size": SIDE,
            "do_center_crop": True,
            "do_normalize": True,
            "do_resize": True,
            "feature_extractor_type": "CLIPFeatureExtractor",
            "image_mean": MEAN,
            "image_std": STD,
            "resample": 3,
            "size": SIDE,
        },
    ),
    "clip-fast": (
        "clip",
        {
            **FULL,
            "image_processor_type": "CLIPImageProcessorFast",
            "data_format": "channels_first",
            "default_to_square": False,
            "device": None,
            "disable_grouping": None,
            "do_pad": None,
            "input_data_format": None,
            "pad_size": None,
            "return_tensors": None,
        },
    ),
    "siglip": (
        "siglip",
        {
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": HALF,
            "image_processor_type": "SiglipImageProcessor",
            "image_std": HALF,
            "processor_class": "SiglipProcessor",
            "resample": 3,
            "rescale_factor": 1 / 255,
            "size": SQUARE,
        },
    ),
    "vit": (
        "vit",
        {
            "do_normalize": True,
            "do_resize": True,
            "image_mean": HALF,
            "image_processor_type": "ViTImageProcessor",
            "image_std": HALF,
            "resample": 2,
            "size": SIDE,
        },
    ),
    "deit": (
        "deit",
        {
            "do_center_crop": True,
            "crop_size": SQUARE,
            "image_processor_type": "DeiTImageProcessor",
            "size": {"height": 28, "width": 28},
        },
    ),
    "dinov2": ("dinov2", {**FULL, "image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 28}}),
    "blip": ("blip", {"image_processor_type": "BlipImageProcessor", "size": SQUARE}),
    "mobilevit": (
        "mobilevit",
        {
            "image_processor_type": "MobileViTImageProcessor",
            "size": {"shortest_edge": 28},
            "crop_size": SQUARE,
            "do_flip_channel_order": True,
        },
    ),
}
SIZES: list[Any] = [
    SIDE, 28, 1, 0, -4, 24.0, "24", True, None, [SIDE, SIDE], [28, SIDE], [SIDE, 28], [SIDE], [], {}, SQUARE,
    {"height": 28, "width": SIDE}, {"height": SIDE}, {"shortest_edge": SIDE}, {"shortest_edge": 31}, {"shortest_edge": 7},
    {"shortest_edge": SIDE, "longest_edge": 30}, {"shortest_edge": 30, "longest_edge": 200}, {"longest_edge": SIDE},
    {"max_height": SIDE, "max_width": SIDE}, {"min_pixels": 24, "max_pixels": 900}, {"shortest_edge": "24"},
    {"height": SIDE, "width": SIDE, "shortest_edge": SIDE}, {"height": None, "width": SIDE},
]  # fmt: skip
CHANNELS: list[Any] = [
    0.5, 1, 0, HALF, [0, 0, 0], [1, 1, 1], [0.1, 0.2, 0.3], [0.485, 0.456, 0.406], [0.5], [0.5] * 4, [], "0.5", None,
    [0.5, 0.5, None], ["0.5"] * 3, {"r": 0.5}, False, 1e-3,
]  # fmt: skip
SWITCH: list[Any] = [True, False, None, 0, 1, "false", "true", []]
VALUES: dict[str, list[Any]] = {
    "size": SIZES,
    "crop_size": SIZES,
    "resample": [0, 1, 2, 3, 4, 5, 6, -1, 2.0, "bicubic", None, True],
    "rescale_factor": [1 / 255, 1 / 127.5, 1, 0, -0.01, 0.5, "0.5", None, True, [0.1]],
    "image_mean": CHANNELS,
    "image_std": CHANNELS,
    "do_resize": SWITCH,
    "do_center_crop": SWITCH,
    "do_rescale": SWITCH,
    "do_normalize": SWITCH,
    "do_convert_rgb": SWITCH,
    "do_flip_channel_order": SWITCH,
    "default_to_square": SWITCH,
    "do_pad": SWITCH,
    "pad_size": [None, SQUARE, {"height": 30, "width": 30}, 24],
    "data_format": ["channels_first", "channels_last", None, "nonsense"],
    "input_data_format": ["channels_first", "channels_last", None],
    "image_processor_type": [
        "CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil", "SiglipImageProcessor", "ViTImageProcessor",
        "DeiTImageProcessor", "BitImageProcessor", "BlipImageProcessor", "MobileViTImageProcessor", "ConvNextImageProcessor",
        "ChineseCLIPImageProcessor", "Siglip2ImageProcessor", "LevitImageProcessor", "Nonsense", None, 3,
    ],
    "feature_extractor_type": ["CLIPFeatureExtractor", "ViTFeatureExtractor", "Nonsense", None, 3],
    "processor_class": ["CLIPProcessor", None, 3],
    "crop_pct": [0.875, 1, None],
    "do_thumbnail": [True, False],
    "size_divisor": [16, 32],
    "do_reduce_labels": [True, False],
    "use_square_size": [True, False],
    "patch_size": [8],
    "foo": [1, None],
}  # fmt: skip


def combinations() -> Iterator[Case]:
    """Folders in common and in uncommon ways; all of them are served, or refused where the library refuses too."""
    for name, (model, file) in BASES.items():
        yield Case(f"{name} as saved", {"config.json": {"model_type": model}, "preprocessor_config.json": file})
        nested = {"image_processor": file, "processor_class": "Any"}
        yield Case(
            f"{name} in processor_config.json", {"config.json": {"model_type": model}, "processor_config.json": nested}
        )
    both = {
        "preprocessor_config.json": FULL,
        "processor_config.json": {"image_processor": {**FULL, "image_mean": HALF}},
    }
    yield Case("two files, of which the newer one counts", {"config.json": {"model_type": "clip"}, **both})
    yield Case("an older processor_config.json without pictures", {
        "config.json": {"model_type": "clip"}, "preprocessor_config.json": FULL,
        "processor_config.json": {"processor_class": "CLIPProcessor"},
    })  # fmt: skip
    for filter_ in range(6):
        for size in (SIDE, {"shortest_edge": 31}, SQUARE, {"height": 31, "width": 40}):
            for crop in (SQUARE, None):
                changes = {"resample": filter_, "size": size, "do_center_crop": crop is not None}
                yield of_clip(f"filter {filter_}, size {size}, {'cropped' if crop else 'whole'}", changes)
    for rescale in (True, False):
        for normalise in (True, False):
            for resize in (True, False):
                switches = {"do_rescale": rescale, "do_normalize": normalise, "do_resize": resize}
                yield of_clip(f"switches {switches}", switches)
    for mean, std in (
        (HALF, HALF),
        (0.5, 0.25),
        ([0, 0, 0], [1, 1, 1]),
        ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ):
        yield of_clip(f"mean {mean}, std {std}", {"image_mean": mean, "image_std": std})
    for factor in (1 / 127.5, 1.0, 1 / 256):
        yield of_clip(f"factor {factor}", {"rescale_factor": factor})
    yield of_clip("a crop wider than what is left", {"size": {"shortest_edge": 11}})
    yield of_clip("a crop and no resizing", {"do_resize": False})
    yield of_clip("a long side that is limited", {"size": {"shortest_edge": SIDE, "longest_edge": 40}})


OBLONGS = ((20, 28), (28, 20), (24, 40))


def oblongs() -> Iterator[Case]:
    """Models that take pictures of other shapes than squares."""
    for height, width in OBLONGS:
        box = {"height": height, "width": width}
        for filter_ in (0, 2, 3):
            resized = {"size": box, "resample": filter_, "do_center_crop": False}
            yield _oblong(f"resized with filter {filter_}", resized, box)
            for size in (
                {"shortest_edge": 31},
                {"height": 40, "width": 31},
                {"shortest_edge": 11},
                {"shortest_edge": SIDE},
            ):
                yield _oblong(
                    f"{size}, cropped, filter {filter_}", {"size": size, "crop_size": box, "resample": filter_}, box
                )
        yield _oblong("given as a list", {"size": [height, width], "do_center_crop": False}, box)
        yield _oblong("cropped to a list", {"crop_size": [height, width]}, box)
        yield _oblong(
            "neither scaled nor normalised", {"crop_size": box, "do_rescale": False, "do_normalize": False}, box
        )
        yield _oblong("not resized", {"crop_size": box, "do_resize": False}, box)
        for base in ("siglip", "vit", "blip", "deit", "mobilevit"):
            file = {**BASES[base][1], ("crop_size" if "crop_size" in BASES[base][1] else "size"): box}
            yield _oblong(f"of {base}", file, box, base)


def _oblong(name: str, changes: dict[str, Any], box: dict[str, int], base: str = "clip") -> Case:
    model, file = BASES[base]
    files = {"config.json": {"model_type": model}, "preprocessor_config.json": {**file, **changes}}
    return Case(f"{box['height']}×{box['width']}: {name}", files, PICTURES, (box["height"], box["width"]))


def of_clip(name: str, changes: dict[str, Any]) -> Case:
    """CLIP's folder with some keys changed."""
    file = {**BASES["clip"][1], **changes}
    return Case(name, {"config.json": {"model_type": "clip"}, "preprocessor_config.json": file})


def mutations() -> Iterator[Case]:
    """Every key of every base dropped, renamed, and set to each of many values; also keys that the base does not have."""
    for base, (model, file) in BASES.items():
        for key in file:
            yield _mutant(f"{base}: without {key}", model, {k: v for k, v in file.items() if k != key})
            for renamed in (f"{key}s", key.replace("_", ""), key.upper()):
                yield _mutant(
                    f"{base}: {renamed} instead of {key}",
                    model,
                    {**{k: v for k, v in file.items() if k != key}, renamed: file[key]},
                )
        for key, values in VALUES.items():
            for value in values:
                yield _mutant(f"{base}: {key} {value!r}", model, {**file, key: value})
        for other in ("clip", "siglip", "vit", "dinov2", "bert", "nonsense", None):
            config = {} if other is None else {"model_type": other}
            plain = {k: v for k, v in file.items() if k not in ("image_processor_type", "feature_extractor_type")}
            yield Case(
                f"{base}: no class, model_type {other}", {"config.json": config, "preprocessor_config.json": plain}, FEW
            )


OPEN_CLIP = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
OPEN_CLIP_VALUES: dict[str, list[Any]] = {
    "mean": CHANNELS,
    "std": CHANNELS,
    "interpolation": ["bicubic", "bilinear", "random", "nearest", None, 3, ""],
    "resize_mode": ["shortest", "squash", "longest", None, "nonsense", ""],
    "mode": ["RGB", "L", None],
    "fill_color": [0, 10, None],
    "size": [SIDE, 30, [SIDE, SIDE], None],
    "foo": [1, None],
}


def open_clip_cases() -> Iterator[Case]:
    """``preprocess_cfg`` of OpenCLIP's file in every way, and mutated."""
    yield _open_clip("nothing", {})
    for base in (OPEN_CLIP, {**OPEN_CLIP, "interpolation": "bilinear", "resize_mode": "squash"}):
        mode = base["resize_mode"]
        yield _open_clip(f"{mode}, as saved", base)
        for key in base:
            left = {k: v for k, v in base.items() if k != key}
            yield _open_clip(f"{mode}, without {key}", left)
            yield _open_clip(f"{mode}, {key}s instead of {key}", {**left, f"{key}s": base[key]})
        for key, values in OPEN_CLIP_VALUES.items():
            for value in values:
                yield _open_clip(f"{mode}, {key} {value!r}", {**base, key: value})


def _open_clip(name: str, file: dict[str, Any]) -> Case:
    return Case(f"open_clip: {name}", {"open_clip_config.json": {"model_cfg": {}, "preprocess_cfg": file}})


def _mutant(name: str, model: str, file: dict[str, Any]) -> Case:
    return Case(name, {"config.json": {"model_type": model}, "preprocessor_config.json": file}, FEW)
