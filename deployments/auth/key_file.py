"""The file that holds API keys."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from deployments.auth.api_keys import ApiKey, problems
from deployments.config.base import Strict
from models.errors import ConfigError
from models.files import PRIVATE, FileChangedError, locked, write_whole

FILE_VARIABLE = "EMBEDSERVE_API_KEYS_FILE"
INLINE_VARIABLE = "EMBEDSERVE_API_KEYS"
MOST = 1000  # every request is compared with every key, which takes 0.1 µs each
LARGEST = 4 << 20  # bytes; a thousand keys are 200 KB, the rest is room for comments
HEADER = "# API keys of embedserve: hashes only. `embedserve keys create | list | revoke` change this file.\n"


class KeyFile(Strict):
    """The document of a key file."""

    keys: Annotated[tuple[ApiKey, ...], Field(max_length=MOST)] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        for field in ("name", "sha256"):
            values = [getattr(key, field) for key in self.keys]
            if len(set(values)) < len(values):
                raise ValueError(f"two keys have the same {field}")
        return self


def parse_keys(document: Any, where: str) -> KeyFile:
    """Check a document of keys.

    Raises:
        ConfigError: names each wrong field, and never its value.
    """
    try:
        return KeyFile.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{where} is invalid: {'; '.join(problems(error, KeyFile))}") from None


def read_keys(text: str, where: str) -> KeyFile:
    """Parse the YAML (or JSON) text of a key file.

    Raises:
        ConfigError: as ``parse_keys``.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{where} is no YAML{line}") from None
    if document is None:
        document = {}
    return parse_keys(document, where)


def load_keys(path: Path) -> KeyFile:
    """Read a key file.

    Raises:
        ConfigError: it cannot be read or is invalid.
    """
    return parse_file(read_file(path), path)


def read_file(path: Path) -> bytes:
    """The bytes of a key file.

    Raises:
        ConfigError: it cannot be read, or is too large to be one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the key file {path}: {error.strerror}") from error
    if len(data) > LARGEST:
        raise ConfigError(f"key file {path} has more than {LARGEST} bytes, which {MOST} keys do not need")
    return data


def parse_file(data: bytes, path: Path) -> KeyFile:
    """Parse the bytes of a key file.

    Raises:
        ConfigError: it is invalid.
    """
    try:
        return read_keys(data.decode(), f"key file {path}")
    except UnicodeDecodeError:
        raise ConfigError(f"key file {path} is no UTF-8") from None


@contextlib.contextmanager
def changing(path: Path) -> Iterator[list[ApiKey]]:
    """The keys of a file, to be changed in place; written back as a whole, one process at a time.

    Links, owner and permissions of the file stay.

    Raises:
        ConfigError: the file is invalid before or after the change, cannot be written, or was edited meanwhile.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(path))
            before = path.read_bytes() if path.exists() else None
        except OSError as error:
            raise ConfigError(f"cannot write beside {path}: {error.strerror}") from error
        keys = [] if before is None else list(parse_file(before, path).keys)
        yield keys
        _write(path, before, keys)


def _write(path: Path, before: bytes | None, keys: list[ApiKey]) -> None:
    from models.yaml_edit import edit  # a gateway, which only reads, need not load what edits

    entries = [key.model_dump(mode="json", exclude_none=True) for key in keys]
    parse_keys({"keys": entries}, f"key file {path}")
    document = {"keys": entries}
    kept = None if before is None else edit(before.decode(), document)
    text = kept if kept is not None else HEADER + yaml.safe_dump(document, sort_keys=False)
    try:
        if before is None and path.exists():
            raise FileChangedError
        write_whole(path, text.encode(), mode=PRIVATE, before=before)
    except FileChangedError:
        raise ConfigError(f"{path} was changed by somebody else meanwhile; nothing was written, try again") from None
    except OSError as error:
        raise ConfigError(f"cannot write the key file {path}: {error.strerror}") from error
