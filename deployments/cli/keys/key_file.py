"""Which key file a command works on, and whose key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from models.errors import ConfigError

VARIABLE = "EMBEDSERVE_API_KEYS_FILE"

File = Annotated[Path | None, typer.Option(envvar=VARIABLE, help="the key file; the service reads it anew")]
Name = Annotated[str, typer.Argument(help="whose key it is")]


def named(file: Path | None) -> Path:
    """The key file, absolute.

    Raises:
        ConfigError: neither an option nor the environment names one.
    """
    found = file or os.environ.get(VARIABLE)
    if not found:
        raise ConfigError(f"which key file? Name it with --file or in {VARIABLE}")
    return Path(found).expanduser().absolute()
