"""What `embedserve embed` was given: words, or the file that has them as its name."""

from __future__ import annotations

import mimetypes
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import InputError

if TYPE_CHECKING:
    from models.modalities.modality import Modality

PATH_LIKE = re.compile(r"^(~|\.{1,2})?/|^[^\s/]+/\S*$|^[^\s.]\S*\.[A-Za-z][A-Za-z0-9]{1,4}$")


@dataclass(frozen=True)
class Source:
    """One input, and what its giver may not have expected of it."""

    item: str | bytes
    modality: str
    hint: str | None = None


def read_source(words: str, wanted: Modality | None, *, as_text: bool = False) -> Source:
    """The input that ``words`` are or name: a path that exists is a file, whatever its name.

    Args:
        words: as the command was given them.
        wanted: of the model that was asked for; None for whatever the input is.
        as_text: take the words as they are, even where a file has that name.

    Raises:
        InputError: there is nothing to embed, the file cannot be read, or is not what the model embeds.
    """
    if not words:
        raise InputError("the text is empty; give some words, or the path of a picture")
    if as_text:
        if wanted is not None and wanted.from_files:
            raise InputError(f"--text takes the words as they are; the model embeds {wanted.noun}, from files")
        return Source(words, "text")
    mode = _mode(words)
    if mode is not None and not stat.S_ISDIR(mode):
        return _from_file(Path(words), mode, wanted)
    if wanted is not None and wanted.from_files:
        raise InputError(f"{words} is {'a folder' if mode else 'no file'}; the model embeds {wanted.noun}, from files")
    if mode is not None:
        return Source(words, "text", f"{words!r} is a folder too; its name was embedded, as a text")
    if wanted is None and Path(words).suffix.lower() in picture_suffixes():
        raise InputError(f"{words} is no file; check the path, or embed these words as a text with --text")
    missing = f"there is no file {words!r}: these letters were embedded, as a text (--text says that they are meant)"
    return Source(words, "text", missing if PATH_LIKE.search(words) else None)


def picture_suffixes() -> frozenset[str]:
    """The endings of pictures' names, as Python's and Pillow's own lists have them."""
    from PIL import Image

    Image.init()
    known = {*mimetypes.types_map.items(), *mimetypes.common_types.items()}
    listed = {suffix for suffix, kind in known if kind.startswith("image/")}
    read = {suffix for suffix, name in Image.EXTENSION.items() if Image.MIME.get(name, "").startswith("image/")}
    return frozenset(listed | read)


def _mode(words: str) -> int | None:
    """Of the file that has this name; None where there is none."""
    try:
        return Path(words).stat().st_mode
    except PermissionError as error:
        raise InputError(f"cannot read {words}: {error.strerror}") from error
    except (OSError, ValueError):  # no such file, or what no file can be called: too long, with a NUL
        return None


def _from_file(path: Path, mode: int, wanted: Modality | None) -> Source:
    from models.inputs.image_header import format_of
    from models.modalities import MODALITIES

    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise InputError(f"{path} is a device or a socket, and no file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if not data:
        raise InputError(f"{path} is an empty file")
    picture = format_of(data) or (path.suffix.lower() in picture_suffixes() and path.suffix) or not _is_text(data)
    modality = wanted or MODALITIES["image" if picture else "text"]
    if modality.from_files:
        return Source(data, modality.name)
    if picture:
        raise InputError(f"{path} is no text; leave --model out, or name one that embeds images")
    hint = f"{path} is a file: the text in it was embedded; --text embeds its name"
    return Source(data.decode("utf-8-sig"), modality.name, hint)


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode("utf-8")
    except UnicodeDecodeError:
        return False
