"""API keys as they are kept: names, scopes and hashes, never the keys themselves."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AwareDatetime, Field, ValidationError, model_validator

from deployments.config.base import Strict
from models.errors import ConfigError
from models.files import locked, write_whole

Scope = Literal["embed", "admin"]
FILE_VARIABLE = "EMBEDSERVE_API_KEYS_FILE"
INLINE_VARIABLE = "EMBEDSERVE_API_KEYS"
PREFIX = "es_"  # so that scanners for leaked secrets can know a key by its looks
RANDOM_BYTES = 32  # 256 bits cannot be guessed: a fast hash keeps them as safe as a slow one would keep a password
MOST = 1000  # every request is compared with every key, 0.1 µs each
HEADER = "# API keys of embedserve: hashes only. `embedserve keys create | list | revoke` change this file.\n"


class ApiKey(Strict):
    """What is kept of one key."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]  # whose it is; rate limits go by it
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    created: AwareDatetime | None = None
    expires: AwareDatetime | None = None  # from then on it is refused

    def expired(self, now: float) -> bool:
        """Whether its time is over at ``now``, seconds since 1970."""
        return self.expires is not None and self.expires.timestamp() <= now


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


def hash_of(key: str) -> str:
    """sha256 of a key, 64 hex digits."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def new_key(
    name: str, scopes: tuple[Scope, ...], expires: datetime | None = None, where: str = "the key"
) -> tuple[str, ApiKey]:
    """A fresh random key, and what is kept of it.

    Raises:
        ConfigError: the name or a scope is none.
    """
    key = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    entry = {"name": name, "sha256": hash_of(key), "scopes": scopes, "created": _now(), "expires": expires}
    return key, parse_keys({"keys": [entry]}, where).keys[0]


def parse_keys(document: Any, where: str) -> KeyFile:
    """Check a document of keys.

    Raises:
        ConfigError: names each wrong field, and never its value: it might be a key that was put there by mistake.
    """
    try:
        return KeyFile.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{where} is invalid: {'; '.join(_problems(error))}") from None


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
    try:
        return read_keys(path.read_text(encoding="utf-8"), f"key file {path}")
    except UnicodeDecodeError:
        raise ConfigError(f"key file {path} is no UTF-8") from None
    except OSError as error:
        raise ConfigError(f"cannot read the key file {path}: {error.strerror}") from error


@contextlib.contextmanager
def changing(path: Path) -> Iterator[list[ApiKey]]:
    """The keys of a file, to be changed in place; written back as a whole, one process at a time.

    Raises:
        ConfigError: the file is invalid before or after the change, or cannot be written.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(path))
        except OSError as error:
            raise ConfigError(f"cannot write beside {path}: {error.strerror}") from error
        keys = list(load_keys(path).keys) if path.exists() else []
        yield keys
        _write(path, keys)


def _write(path: Path, keys: list[ApiKey]) -> None:
    from models.yaml_edit import edit  # a gateway, which only reads, need not load what edits

    entries = [key.model_dump(mode="json", exclude_none=True) for key in keys]
    parse_keys({"keys": entries}, f"key file {path}")
    document = {"keys": entries}
    try:
        kept = edit(path.read_text(encoding="utf-8"), document) if path.exists() else None
        text = kept if kept is not None else HEADER + yaml.safe_dump(document, sort_keys=False)
        write_whole(path, text.encode(), mode=0o600)
    except OSError as error:
        raise ConfigError(f"cannot write the key file {path}: {error.strerror}") from error


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _problems(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        unknown = item["type"] == "extra_forbidden"
        place = ".".join(str(part) for part in (item["loc"][:-1] if unknown else item["loc"])) or "the document"
        allowed = ", ".join((ApiKey if place.startswith("keys.") else KeyFile).model_fields)
        yield f"{place} has an unknown key; allowed: {allowed}" if unknown else f"{place}: {item['msg']}"
