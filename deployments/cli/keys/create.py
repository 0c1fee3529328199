"""``embedserve keys create``: a new key, shown once."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console

from deployments.cli.json_output import AsJson, print_json
from deployments.cli.keys.key_file import File, Name, named
from models.errors import ConfigError

if TYPE_CHECKING:
    from deployments.auth.api_keys import Scope

AGE = re.compile(r"^(\d{1,5})([hd])")
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}


def create(
    name: Name,
    scope: Annotated[list[str], typer.Option(help="embed, admin; may be given twice")],
    expires: Annotated[str | None, typer.Option(help="90d, 12h or a date; never by default")] = None,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Print a new key, this once, and keep its hash."""
    from deployments.auth.api_keys import new_key
    from deployments.auth.key_file import changing

    path = named(file)
    key, entry = new_key(name, _scopes(scope), _time(expires), f"key {name!r}")
    with changing(path) as keys:
        if name in {known.name for known in keys}:
            raise ConfigError(
                f"{path} has a key named {name!r} already; to replace it, create one under another name, change the "
                f"client, then `embedserve keys revoke {name}`"
            )
        keys.append(entry)
    if as_json:
        print_json({"key": key, "name": name, "scopes": entry.scopes, "expires": entry.expires, "file": str(path)})
    else:
        print(key)
    Console(stderr=True).print(
        f"{name} may {' and '.join(entry.scopes)}; {path} holds its hash, and nobody can show the key again"
    )


def _scopes(names: list[str]) -> tuple[Scope, ...]:
    from deployments.auth.api_keys import Scope

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
    if age := AGE.fullmatch(text):
        return now + int(age[1]) * UNITS[age[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--expires must be like 90d, 12h or 2030-01-31, not {text!r}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment <= now:
        raise ConfigError(f"--expires {text} is over already")
    return moment
