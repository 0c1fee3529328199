"""``embedserve keys``: make, list and revoke API keys in a key file."""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

from rich import box
from rich.console import Console
from rich.table import Table

from deployments.auth.api_keys import FILE_VARIABLE, Scope, changing, load_keys, new_key
from models.errors import ConfigError

AGE = re.compile(r"^(\d{1,5})([hd])$")
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}


def create(stderr: Console, file: Path | None, name: str, scopes: list[str], expires: str | None) -> None:
    """Print a new key, this once, and keep its hash in the file.

    Raises:
        ConfigError: the name is taken, a scope or time is none, or the file cannot be written.
    """
    path = _path(file)
    key, entry = new_key(name, _scopes(scopes), _time(expires), f"key {name!r}")
    with changing(path) as keys:
        if name in {known.name for known in keys}:
            raise ConfigError(
                f"{path} has a key named {name!r} already; to replace it, create one under another name, change the "
                f"client, then `embedserve keys revoke {name}`"
            )
        keys.append(entry)
    print(key)
    stderr.print(f"{name} may {' and '.join(entry.scopes)}; {path} holds its hash, and nobody can show the key again")


def revoke(stderr: Console, file: Path | None, name: str) -> None:
    """Take a key out of the file.

    Raises:
        ConfigError: there is none of that name.
    """
    path = _path(file)
    with changing(path) as keys:
        left = [key for key in keys if key.name != name]
        if len(left) == len(keys):
            raise ConfigError(f"{path} has no key {name!r}; it has: {', '.join(k.name for k in keys) or 'none'}")
        keys[:] = left
    stderr.print(f"{name} is revoked; a service that reads {path} refuses it within seconds")


def show(console: Console, file: Path | None) -> None:
    """Print a table of the keys.

    Raises:
        ConfigError: the file cannot be read.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("name", "scopes", "created", "expires"):
        table.add_column(column, no_wrap=True)
    for key in load_keys(_path(file)).keys:
        ends = f"{key.expires:%Y-%m-%d %H:%M}" if key.expires else "never"
        ends += " (over)" if key.expired(time.time()) else ""
        table.add_row(key.name, " ".join(key.scopes), f"{key.created:%Y-%m-%d}" if key.created else "?", ends)
    console.print(table)


def _path(file: Path | None) -> Path:
    named = file or os.environ.get(FILE_VARIABLE)
    if not named:
        raise ConfigError(f"which key file? Name it with --file or in {FILE_VARIABLE}")
    return Path(named).expanduser().absolute()


def _scopes(names: list[str]) -> tuple[Scope, ...]:
    known: tuple[Scope, ...] = get_args(Scope)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"--scope must be {' or '.join(known)}, not {unknown[0]!r}")
    return tuple(scope for scope in known if scope in names)


def _time(text: str | None) -> datetime | None:
    """``90d``, ``12h`` from now, or an ISO date or time, in UTC where it names no zone."""
    if text is None:
        return None
    now = datetime.now(UTC).replace(microsecond=0)
    if age := AGE.match(text):
        return now + int(age[1]) * UNITS[age[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--expires must be like 90d, 12h or 2030-01-31, not {text!r}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment <= now:
        raise ConfigError(f"--expires {text} is over already")
    return moment
