"""Values of the keys by which files say how pictures are prepared."""

from __future__ import annotations

from typing import Any

from PIL import Image

from models.errors import ArtifactError


def resizing(name: str, key: str, size: Any, *, square: bool) -> dict[str, Any]:
    """``size`` as fields of a preparation; a number is the side of a square, or the short side.

    Raises:
        ArtifactError: it is in no spelling that is served.
    """
    if isinstance(size, int) and not isinstance(size, bool):
        size = {"height": size, "width": size} if square else {"shortest_edge": size}
    elif isinstance(size, list) and len(size) == 2:
        size = dict(zip(("height", "width"), size, strict=True))
    keys = set(size) if isinstance(size, dict) else set()
    if keys in ({"height", "width"}, {"shortest_edge"}, {"shortest_edge", "longest_edge"}):
        sides = {edge: _side(name, f"{key}.{edge}", value) for edge, value in size.items()}
        if "height" in sides:
            return {"exact": (sides["height"], sides["width"])}
        return {"short_side": sides["shortest_edge"], "longest": sides.get("longest_edge")}
    raise refusal(
        name,
        key,
        f"is {size!r}; served are a number, {{height, width}}, {{shortest_edge}}, {{shortest_edge, longest_edge}}",
    )


def crop(name: str, size: Any) -> int | tuple[int, int]:
    """``crop_size``: the side of a square, or height and width.

    Raises:
        ArtifactError: it is neither.
    """
    if isinstance(size, dict) and set(size) == {"height", "width"}:
        size = [size["height"], size["width"]]
    sides = size if isinstance(size, list) and len(size) == 2 else [size, size]
    height, width = (_side(name, "crop_size", side) for side in sides)
    return height if height == width else (height, width)


def _side(name: str, key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise refusal(name, key, f"is {value!r}, and has to be a whole number of pixels")
    return value


def pillow_filter(name: str, value: Any) -> str:
    """``resample`` by the name of the filter.

    Raises:
        ArtifactError: Pillow has no such filter.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value not in list(Image.Resampling):
        raise refusal(name, "resample", f"is {value!r}, and has to be one of Pillow's filters, 0 to 5")
    return Image.Resampling(value).name.lower()


def number(name: str, key: str, value: Any) -> float:
    """The value of a key.

    Raises:
        ArtifactError: it is no number.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise refusal(name, key, f"is {value!r}, and has to be a number")
    return float(value)


def channels(name: str, key: str, value: Any) -> tuple[float, ...]:
    """One number for each of three channels.

    Raises:
        ArtifactError: the file has something else.
    """
    values = list(value) if isinstance(value, list | tuple) else [value] * 3
    if len(values) != 3:
        raise refusal(name, key, f"has {len(values)} numbers, and needs one for each of 3 channels")
    return tuple(number(name, key, each) for each in values)


def refusal(name: str, key: str, problem: str) -> ArtifactError:
    """The error for one key of a file."""
    return ArtifactError(f"{name}: {key} {problem}")
