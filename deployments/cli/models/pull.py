"""``embedserve models pull``: get or build what the store lacks."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from deployments.cli.console_reporter import console_reporter
from deployments.cli.error_line import print_error
from deployments.cli.json_output import AsJson, print_json
from deployments.cli.models.references import selected
from deployments.cli.synthetic_warning import warn_pulled
from deployments.cluster.preload_key import PRELOAD
from models.errors import EmbedserveError


class Profile(StrEnum):
    """What a machine is for; production refuses what must never reach users."""

    development = "development"
    production = "production"


def pull(
    references: Annotated[
        list[str] | None,
        typer.Argument(
            help="NAME or NAME@VERSION, any number; every version when left out, none where the variable is empty.",
            envvar=PRELOAD,
        ),
    ] = None,
    profile: Annotated[
        Profile,
        typer.Option(
            envvar="EMBEDSERVE_PROFILE",
            help="development lets labelled random weights stand in where no source answers; production refuses them.",
        ),
    ] = Profile.development,
    as_json: AsJson = False,
) -> None:
    """Get or build what the store lacks; what is there and unchanged is left alone."""
    from models.catalog import record, store

    if (
        not references and PRELOAD in os.environ
    ):  # a list that somebody keeps, of a service that names its files by path
        typer.echo(f"{PRELOAD} names no version: nothing to pull", err=True)
        if as_json:
            print_json([])
        return
    synthetic: list[str] = []
    pulled: list[dict[str, Any]] = []
    failed = False
    with console_reporter() as reporter:
        for spec in selected(references):
            try:
                artifact = store.pull(spec, allow_synthetic=profile is Profile.development, reporter=reporter)
            except EmbedserveError as error:  # the other versions are worth having
                print_error(str(error))
                failed = True
                continue
            random = record.is_synthetic(artifact)
            synthetic += [spec.reference] if random else []
            weights = "synthetic" if random else "pretrained"
            pulled.append(
                {"reference": spec.reference, "hash": artifact.hash, "graph": str(artifact.graph), "weights": weights}
            )
            reporter.note(f"{spec.reference}: ready, {artifact.graph.name}, hash {artifact.hash[:12]}")
    warn_pulled(Console(stderr=True), synthetic)
    if as_json:
        print_json(pulled)
    if failed:
        raise typer.Exit(1)
