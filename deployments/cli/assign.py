"""``embedserve assign``: which version a configuration gives to routing keys, as gateways do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models.errors import ConfigError


def assign(
    model: Annotated[str, typer.Argument(help="name, alias or name@version, as requests name it")],
    keys: Annotated[list[str] | None, typer.Argument(help="routing keys: x-routing-key, or OpenAI's user")] = None,
    file: Annotated[
        Path | None,
        typer.Option("--from", help="a CSV file with a column 'key', or one key a line; - is standard input"),
    ] = None,
    config: Annotated[
        Path, typer.Option(help="a Serve configuration; also what `embedserve history --show N` printed")
    ] = Path("serve_config.yaml"),
    header: Annotated[list[str] | None, typer.Option(help="NAME=VALUE that requests carry, for overrides")] = None,
    secret_file: Annotated[
        Path | None, typer.Option(help="the secret of the exposure log, if not where the configuration says")
    ] = None,
    no_hash: Annotated[
        bool, typer.Option("--no-hash", help="without the column key_hash, and without a secret")
    ] = False,
) -> None:
    """Compute the version of each key as CSV: key, version, how it was chosen, experiment, and the log's hash of the key."""
    import csv
    import sys

    from deployments.cli.assign_keys import hashing_of, headers_of, keys_of
    from deployments.gateway.assignment import Assignments

    if bool(keys) == (file is not None):
        raise ConfigError("name the keys, or a file of them with --from: one of the two")
    assignments, headers = Assignments.load(config), headers_of(header or [])
    hashed = None if no_hash else hashing_of(assignments.config.experiments.exposures, secret_file)
    experiment = assignments.experiment(model)
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["key", "version", "chosen", "experiment", *(["key_hash"] if hashed else [])])
    for key in keys_of(file) if file is not None else keys or ():
        if not key:
            raise ConfigError("a key is empty; a request without a key is drawn anew each time")
        choice = assignments.assign(model, key, headers)
        rows.writerow([key, choice.version, choice.how, experiment, *([hashed(key)] if hashed else [])])
