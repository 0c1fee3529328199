"""How a folder says that its pictures are to be prepared: preprocessor_config.json, and its newer place.

Every key is applied, known to change no vector, or refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.catalog.fields import read_json
from models.catalog.picture_processors import FORMATS, HARMLESS, OF_CLIP, OF_MODELS, OFF, OTHERS, PROCESSORS, SWITCHES
from models.catalog.picture_values import channels, crop, number, pillow_filter, refusal, resizing
from models.errors import ArtifactError
from models.inputs.preparation import Preparation
from models.validation import describe, one_of


@dataclass(frozen=True)
class Found:
    """What a folder says about its pictures."""

    preparation: Preparation
    origin: str  # where it was read, or what was assumed, as a card says it


def preparation_in(folder: Path, config: dict[str, Any] | None, shape: tuple[int, int] | None) -> Found:
    """The preparation that a folder's files ask for.

    Args:
        folder: it may hold processor_config.json or preprocessor_config.json.
        config: its config.json; None where there is none.
        shape: height and width of the pictures that its graph takes; None if it takes any.

    Raises:
        ArtifactError: a key has a value that is not served, or is unknown; or pictures do not come out as the graph takes them.
    """
    name, given = _settings(folder)
    if given is None:
        model_type = (config or {}).get("model_type")
        size, width = shape or (OF_CLIP["crop_size"],) * 2
        if size != width:
            raise ArtifactError(
                f"the graph takes pictures of {size}×{width} pixels, and there is no preprocessor_config.json that says how "
                "they become so"
            )
        kind = OF_MODELS.get(str(model_type), "CLIPImageProcessor")
        sizes = {"size": dict.fromkeys(PROCESSORS[kind]["size"], size), "crop_size": size}
        assumed = _preparation("preprocessor_config.json", PROCESSORS[kind] | sizes)
        return Found(assumed, f"assumed: {kind} at {size}×{size} pixels, since there is no preprocessor_config.json")
    kind, origin = _processor(name, given, config)
    _require_known(name, kind, given)
    preparation = _preparation(name, PROCESSORS[kind] | given)
    if shape is not None and preparation.shape != shape:
        made, taken = ("×".join(map(str, sides)) for sides in (preparation.shape, shape))
        raise ArtifactError(f"{name} makes pictures of {made} pixels (crop_size, size), and the model takes {taken}")
    return Found(preparation, origin)


def _settings(folder: Path) -> tuple[str, dict[str, Any] | None]:
    """The file that decides, and what it says; as in transformers, a nested processor_config.json goes first."""
    nested = read_json(folder / "processor_config.json").get("image_processor")
    if nested is not None:
        if not isinstance(nested, dict):
            raise ArtifactError("processor_config.json: image_processor must be an object, {...}")
        return "processor_config.json", nested
    path = folder / "preprocessor_config.json"
    if path.exists() and not path.is_file():
        raise ArtifactError(f"{path} is no file")
    return path.name, read_json(path) if path.is_file() else None


def _processor(name: str, given: dict[str, Any], config: dict[str, Any] | None) -> tuple[str, str]:
    """The class whose defaults hold, and where that is from."""
    if given.get("auto_map"):
        raise refusal(
            name, "auto_map", "names code of the folder's own, which is not run; describe the preparation by keys"
        )
    kind = given.get("image_processor_type")
    if kind is None and given.get("feature_extractor_type") is not None:
        kind = str(given["feature_extractor_type"]).replace("FeatureExtractor", "ImageProcessor")
    if kind is None and config is not None:
        kind = config.get("image_processor_type")
    if kind is None:
        model_type = (config or {}).get("model_type")
        if config is None:
            return "CLIPImageProcessor", f"{name}; assumed: CLIPImageProcessor, since it names no image_processor_type"
        kind = OF_MODELS.get(str(model_type))
        if kind is None:
            raise refusal(
                name,
                "image_processor_type",
                f"is missing, and model_type {model_type!r} does not tell; it may be {one_of(PROCESSORS)}",
            )
    plain = str(kind).removesuffix("Fast").removesuffix("Pil")
    if plain not in PROCESSORS:
        raise refusal(name, "image_processor_type", f"is {kind!r}; served are {one_of(PROCESSORS)}")
    return plain, f"{name}, {plain}"


def _require_known(name: str, kind: str, given: dict[str, Any]) -> None:
    ignored = "do_normalize" if kind == "MobileViTImageProcessor" else "do_flip_channel_order"
    if given.get(ignored):
        raise refusal(name, ignored, f"is set, and {kind} ignores it; remove it, or name the class that was meant")
    for key, value in given.items():
        if key in SWITCHES or key in OTHERS or key in HARMLESS or value is None:
            continue
        if key in OFF or key == "pad_size":
            if value is False or (key == "pad_size" and not given.get("do_pad")):
                continue
            raise refusal(name, key, f"is not served: it {OFF.get(key, OFF['do_pad'])}")
        if key in FORMATS:
            if value == FORMATS[key]:
                continue
            raise refusal(name, key, f"is {value!r}; served is {FORMATS[key]!r}")
        if key == "auto_map":
            continue
        raise refusal(name, key, "is unknown here, and might change vectors; remove it if it does not")


def _preparation(name: str, settings: dict[str, Any]) -> Preparation:
    for key in SWITCHES:
        if not isinstance(settings[key], bool | None):  # null switches off
            raise refusal(name, key, f"is {settings[key]!r}, and has to be true or false")
    fields: dict[str, Any] = {}
    for key in ("size", "crop_size"):  # also where it is not used, as the library does
        if settings[key] is not None:
            resizing(name, key, settings[key], square=True)
    if settings["do_resize"]:
        fields = resizing(name, "size", settings["size"], square=settings["default_to_square"])
        fields["resample"] = pillow_filter(name, settings["resample"])
    if settings["do_center_crop"]:
        fields["crop"] = crop(name, settings["crop_size"])
    elif "exact" not in fields:
        key = "size" if settings["do_resize"] else "do_resize"
        raise refusal(
            name, key, f"is {settings[key]!r} without do_center_crop: pictures do not come out as of one size"
        )
    if settings["do_flip_channel_order"]:
        fields["channels"] = "bgr"
    fields["scale"] = number(name, "rescale_factor", settings["rescale_factor"]) if settings["do_rescale"] else 1.0
    if settings["do_normalize"]:
        fields["mean"] = channels(name, "image_mean", settings["image_mean"])
        fields["std"] = channels(name, "image_std", settings["image_std"])
    return checked(name, fields)


def checked(name: str, fields: dict[str, Any]) -> Preparation:
    """A preparation of these fields.

    Raises:
        ArtifactError: they are not served; the message names them.
    """
    try:
        return Preparation.model_validate(fields)
    except ValidationError as error:
        raise ArtifactError(f"{name} asks for a preparation that is not served: {describe(error)}") from None
