"""What ``embedserve assign`` reads: keys, headers, and the secret of the exposure log."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from deployments.config.experiments import Exposures
from deployments.gateway.exposures import key_hash, read_secret
from models.errors import ConfigError

COLUMN = "key"


def keys_of(path: Path) -> Iterator[str]:
    """The keys of a file: its column ``key``, or the whole lines of a file that has one column without that name.

    Raises:
        ConfigError: it cannot be read, or has several columns and none of that name.
    """
    try:
        with sys.stdin if str(path) == "-" else path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            first = next(rows, [])
            if COLUMN in first:
                place = first.index(COLUMN)
            elif len(first) <= 1:
                place = 0
                yield from first
            else:
                raise ConfigError(f"{path} has no column {COLUMN!r}; there are: {', '.join(first)}")
            for row in rows:
                if row:
                    if len(row) <= place:
                        raise ConfigError(f"{path}: line {rows.line_num} has no column {COLUMN!r}")
                    yield row[place]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def headers_of(pairs: list[str]) -> dict[str, str]:
    """``NAME=VALUE`` pairs as headers, names in lower case.

    Raises:
        ConfigError: a pair is malformed.
    """
    headers = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise ConfigError(f"--header {pair!r} must be NAME=VALUE, such as x-tenant=acme")
        headers[name.lower()] = value
    return headers


def hashing_of(config: Exposures | None, secret_file: Path | None) -> Callable[[str], str] | None:
    """How the exposure log hashes keys; None where the configuration keeps none and no secret is named.

    Raises:
        ConfigError: the secret cannot be had here.
    """
    if secret_file is not None:
        config = Exposures(secret_file=str(secret_file.absolute()))
    if config is None:
        return None
    try:
        return partial(key_hash, read_secret(config))
    except ConfigError as error:
        raise ConfigError(f"{error}; --secret-file names another file, --no-hash leaves the column out") from None
