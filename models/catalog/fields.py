"""Reading configuration files that strangers wrote: every key is used, known to be harmless, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from models.errors import ArtifactError
from models.validation import one_of

LARGEST = 64 << 20  # bytes of a configuration file; a tokenizer.json of a large vocabulary has 17 MB
T = TypeVar("T")
NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    dict: "an object",
    list: "a list",
}


def read_document(path: Path) -> Any:
    """What a JSON file holds; None if there is no such file.

    Raises:
        ArtifactError: it cannot be read, is no JSON, or is too large to be a configuration.
    """
    if not path.exists():
        return None
    if not path.is_file():
        raise ArtifactError(f"{path} is a folder or a device where a file belongs")
    try:
        if path.stat().st_size > LARGEST:
            raise ArtifactError(f"{path} has more than {LARGEST >> 20} MiB, which no configuration has")
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is no JSON: {error}") from error
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if the file does not exist.

    Raises:
        ArtifactError: it holds something else.
    """
    document = read_document(path)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ArtifactError(f"{path} must hold a JSON object, {{...}}")
    return document


class Fields:
    """The keys of one JSON object. What is not taken by its end is refused."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        """Read ``values``; messages call the object ``where``: its file, and its place in it."""
        self._values = dict(values)
        self._left = set(values)
        self.where = where

    @classmethod
    def of_file(cls, path: Path, root: Path) -> Fields:
        """The object in a file, empty where there is none; messages name the file as it lies in ``root``."""
        return cls(read_json(path), str(path.relative_to(root)))

    def __contains__(self, key: str) -> bool:
        """Whether the object has the key, and a value that is not null."""
        return self._values.get(key) is not None

    def refuse_null(self, *keys: str) -> None:
        """Refuse null for keys that may be missing, where Python's libraries fail at it.

        Raises:
            ArtifactError: one of them is null.
        """
        for key in keys:
            if key in self._values and self._values[key] is None:
                raise ArtifactError(
                    f"{self.where}: {key} is null, which the library does not take; remove the key, or say it"
                )

    def take(self, key: str, kind: type[T], default: T, *, nullable: bool = False) -> T:
        """The value of a key; the default where it is missing, or null and ``nullable``.

        Raises:
            ArtifactError: it is of another type. Null is one: Python's libraries do not take it for a default.
        """
        self._left.discard(key)
        if key not in self._values or (nullable and self._values[key] is None):
            return default
        value = self._values[key]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)  # type: ignore[return-value]
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise ArtifactError(f"{self.where}: {key} must be {NAMES[kind]}, not {value!r:.60}")
        return value

    def raw(self, key: str) -> Any:
        """The value of a key, of whatever type; None where it is missing."""
        self._left.discard(key)
        return self._values.get(key)

    def require(self, key: str, *allowed: Any) -> None:
        """Refuse a value that is not one of ``allowed``; a missing or null one is fine.

        Raises:
            ArtifactError: it has another value.
        """
        value = self.raw(key)
        if value is not None and not any(type(value) is type(a) and value == a for a in allowed):
            raise ArtifactError(
                f"{self.where}: {key} is {value!r:.80}; {f'served is {one_of(allowed)}' if allowed else 'which is not served'}"
            )

    def require_empty(self, *keys: str) -> None:
        """Refuse keys that hold something.

        Raises:
            ArtifactError: one does.
        """
        for key in keys:
            if self.raw(key):
                raise ArtifactError(
                    f"{self.where}: {key} changes how the model runs and is not served; remove it, or export the model "
                    "with what it does"
                )

    def ignore(self, keys: Iterable[str]) -> None:
        """Take keys that change no vector."""
        self._left -= set(keys)

    def end(self) -> None:
        """Refuse what nobody took.

        Raises:
            ArtifactError: names the keys.
        """
        if self._left:
            names = ", ".join(sorted(self._left))
            raise ArtifactError(
                f"{self.where}: {names} {'is' if len(self._left) == 1 else 'are'} not known here, and might change "
                "vectors; if not, remove from the file"
            )
