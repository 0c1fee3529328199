"""Transformers' classes that prepare pictures: what each takes where a folder's file is silent, and what their keys mean."""

from __future__ import annotations

from typing import Any

from PIL import Image

from models.inputs.preparation import CLIP_MEAN, CLIP_STD

HALF = (0.5, 0.5, 0.5)
SWITCHES = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_flip_channel_order", "default_to_square")
OTHERS = ("size", "crop_size", "resample", "rescale_factor", "image_mean", "image_std")
# Keys that change no vector, and why.
HARMLESS = {
    "image_processor_type": "read before: it names the defaults of the other keys",
    "feature_extractor_type": "its older name",
    "processor_class": "names the class that pairs it with a tokenizer",
    "_processor_class": "its older spelling",
    "_valid_processor_keys": "the names of a call's arguments",
    "do_convert_rgb": "pictures of three channels stay as they are, and of others the library makes no vector without it",
    "return_tensors": "the type of the library's arrays",
    "disable_grouping": "how the library puts pictures of a call together",
    "device": "where the library computes",
    "image_seq_length": "how many tokens a language model sees",
    "do_reduce_labels": "of segmentation maps",
}
# Keys that have to be off, and what they would do.
OFF = {
    "do_pad": "pads pictures of a call to a common size",
    "use_square_size": "replaces size; write size as {height, width} instead",
}
FORMATS = {"data_format": "channels_first", "input_data_format": "channels_last"}  # what they may say: the usual

BASE: dict[str, Any] = {
    "do_resize": True,
    "do_center_crop": False,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "do_flip_channel_order": False,
    "default_to_square": True,
    "crop_size": None,
    "image_mean": HALF,
    "image_std": HALF,
    "resample": int(Image.Resampling.BICUBIC),
}
OF_CLIP = {
    **BASE,
    "size": {"shortest_edge": 224},
    "default_to_square": False,
    "do_center_crop": True,
    "crop_size": 224,
    "image_mean": CLIP_MEAN,
    "image_std": CLIP_STD,
}
# What transformers' classes take where the file is silent.
PROCESSORS: dict[str, dict[str, Any]] = {
    "CLIPImageProcessor": OF_CLIP,
    "BitImageProcessor": OF_CLIP,
    "ChineseCLIPImageProcessor": OF_CLIP,
    "SiglipImageProcessor": {**BASE, "size": {"height": 224, "width": 224}, "default_to_square": False},
    "ViTImageProcessor": {
        **BASE,
        "size": {"height": 224, "width": 224},
        "resample": int(Image.Resampling.BILINEAR),
    },
    "DeiTImageProcessor": {
        **BASE,
        "size": {"height": 256, "width": 256},
        "do_center_crop": True,
        "crop_size": 224,
    },
    "BlipImageProcessor": {
        **BASE,
        "size": {"height": 384, "width": 384},
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
    },
    "MobileViTImageProcessor": {
        **BASE,
        "size": {"shortest_edge": 224},
        "default_to_square": False,
        "do_center_crop": True,
        "crop_size": 256,
        "do_normalize": False,
        "do_flip_channel_order": True,
    },
}
# Where the file names no class, transformers takes the one of the model.
OF_MODELS = {
    "clip": "CLIPImageProcessor",
    "clip_vision_model": "CLIPImageProcessor",
    "chinese_clip": "ChineseCLIPImageProcessor",
    "siglip": "SiglipImageProcessor",
    "siglip_vision_model": "SiglipImageProcessor",
    "vit": "ViTImageProcessor",
    "deit": "DeiTImageProcessor",
    "dinov2": "BitImageProcessor",
    "blip": "BlipImageProcessor",
}
