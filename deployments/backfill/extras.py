"""Libraries of optional extras, imported when a source or sink needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from models.errors import ConfigError


def needed(module: str, extra: str, what: str) -> Any:
    """Import a module.

    Args:
        module: its name.
        extra: the extra of this package that brings it.
        what: who needs it, as messages name it.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(f"{what} needs the extra `{extra}`: pip install 'embedserve[{extra}]' ({error})") from error


def require_data() -> None:
    """Arrow, by which everything of backfills reads and writes.

    Raises:
        ConfigError: it is not installed.
    """
    needed("pyarrow", "data", "what reads or writes rows of a backfill")
