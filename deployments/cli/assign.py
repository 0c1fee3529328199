"""``embedserve assign``: which version a configuration gives to routing keys, as gateways do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.cli.json_output import print_json
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
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document instead of CSV")] = False,
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
    columns = ["key", "version", "chosen", "experiment", *(["key_hash"] if hashed else [])]
    document: list[dict[str, str | None]] = []
    rows = csv.writer(sys.stdout, lineterminator="\n")
    if not as_json:
        rows.writerow(columns)
    for key in keys_of(file) if file is not None else keys or ():
        if not key:
            raise ConfigError("a key is empty; a request without a key is drawn anew each time")
        choice = assignments.assign(model, key, headers)
        row = [key, choice.version, choice.how, experiment, *([hashed(key)] if hashed else [])]
        if as_json:
            document.append(dict(zip(columns, row, strict=True)))
        else:
            rows.writerow(row)
    if as_json:
        print_json(document)
