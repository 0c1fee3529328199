"""``embedserve backfill``: a whole catalogue of texts or pictures, on Ray Data."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from deployments.backfill.run import Connect

ADDRESS = re.compile(r"(ray://)?[A-Za-z0-9.-]+:[0-9]+|(ray://)?\[[0-9a-fA-F:]+\]:[0-9]+")
Stored = Literal["float32", "float16", "int8", "binary"]
Profile = Literal["development", "production"]


def backfill(
    reference: Annotated[str, typer.Argument(help="name@version")],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="Parquet, JSON Lines or CSV (a file, a folder or a glob, also s3://…); a folder of pictures; NAME.lance; postgresql://…",
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            help="a folder for Parquet files, also s3://…; NAME.lance; postgresql://…?table=…; qdrant+http://…/COLLECTION; qdrant:FOLDER/COLLECTION"
        ),
    ],
    id: Annotated[str, typer.Option(help="the column with ids; a folder of pictures has none")] = "",  # noqa: A002 - as users know it
    column: Annotated[
        str,
        typer.Option(
            help="the column with texts, or with pictures as bytes, paths, data: URIs or URLs (--fetch-rules)"
        ),
    ] = "",
    query: Annotated[str, typer.Option(help="what is selected, where --from is a database")] = "",
    prompt: Annotated[str, typer.Option(help="one of the model's prompts, to stand before each text")] = "",
    store_as: Annotated[Stored, typer.Option(help="how a vector is stored")] = "float32",
    only_changed: Annotated[
        bool, typer.Option("--only-changed", help="embed only rows that the sink does not have from this artifact")
    ] = False,
    expect_live: Annotated[
        str | None, typer.Option(help="URL of a service: refuse unless the bits are those that it serves")
    ] = None,
    via_service: Annotated[
        str | None, typer.Option(help="URL of a service that computes the vectors, in its bulk lane; no Ray is started")
    ] = None,
    fetch_rules: Annotated[
        str | None, typer.Option(help="the service's configuration file, whose `fetch` says which pictures are fetched")
    ] = None,
    max_bad: Annotated[int | None, typer.Option(min=0, help="end when more rows than this cannot be embedded")] = None,
    block_rows: Annotated[int | None, typer.Option(min=1, max=65536, help="rows that are written at once")] = None,
    address: Annotated[str | None, typer.Option(help="of a Ray cluster; a Ray of its own when left out")] = None,
    engines: Annotated[str, typer.Option(help="at least and at most, such as 2:16; 1 here, 1:64 on a cluster")] = "",
    cpus: Annotated[int, typer.Option(min=0, help="cores of one engine; 0: all of this machine")] = 0,
    gpus: Annotated[float, typer.Option(min=0, help="cards of one engine, or the part of one that it gets")] = 0,
    state: Annotated[
        str | None, typer.Option(help="where the job keeps its notes; beside the sink when left out")
    ] = None,
    profile: Annotated[Profile, typer.Option(help="production refuses synthetic weights")] = "development",
) -> None:
    """Embed every row of a source, with the bits of the service. Ended at any moment, the same command goes on."""
    from deployments.backfill.extras import require_data

    require_data()
    from deployments.backfill.fetch_rules import fetch_rules as rules_in
    from deployments.backfill.job import Job, Machines, Rows, Rules, Vectors
    from deployments.backfill.run import backfill as run
    from deployments.cli.backfill_progress import following, print_summary
    from models.engine.cores import usable_cores

    _require_no_ray(via_service, {"--address": address, "--engines": engines, "--cpus": cpus, "--gpus": gpus})
    cores = cpus or usable_cores()
    job = Job(
        Rows(source, id, column, query, rules_in(fetch_rules) if fetch_rules else None, prompt),
        Vectors(reference, to, store_as, state),
        Machines(_address(address), _engines(engines, address), cores, gpus, max(1, cores // 2)),
        Rules(profile, block_rows, max_bad, only_changed, expect_live, via_service),
    )
    signal.signal(signal.SIGTERM, _terminate)
    with following() as progress:
        try:
            summary = run(job, _executor(via_service, expect_live), progress)
        except KeyboardInterrupt as stop:
            progress.say("stopped; what is in the sink stays, and the same command goes on from there")
            raise typer.Exit(128 + (signal.SIGTERM if isinstance(stop, TerminatedError) else signal.SIGINT)) from None
    print_summary(summary)


class TerminatedError(KeyboardInterrupt):
    """Somebody ended the command otherwise than by Ctrl-C: `kill`, a service manager, a cluster that needs the node."""


def _terminate(*_: object) -> None:
    raise TerminatedError


def _require_no_ray(via_service: str | None, asked: Mapping[str, object]) -> None:
    from models.errors import ConfigError

    named = [name for name, value in asked.items() if value]
    if via_service is not None and named:
        raise ConfigError(f"--via-service starts no engines of its own: leave {' and '.join(named)} out")


def _executor(via_service: str | None, expect_live: str | None) -> Connect:
    from contextlib import nullcontext

    from models.errors import ConfigError

    if via_service is None:
        from deployments.backfill.ray_executor import connected

        return connected
    if expect_live is not None:
        raise ConfigError("--via-service computes what that service computes: leave --expect-live out")
    from deployments.backfill.via_service.executor import ServiceExecutor

    return lambda _: nullcontext(ServiceExecutor(via_service))


def _address(asked: str | None) -> str | None:
    from models.errors import ConfigError

    if asked is None or asked == "auto" or ADDRESS.fullmatch(asked):
        return asked
    raise ConfigError(f"--address must be auto, HOST:PORT of Ray's head, or ray://HOST:PORT, not {asked}")


def _engines(asked: str, address: str | None) -> tuple[int, int]:
    from models.errors import ConfigError

    least, _, most = (asked or ("1" if address is None else "1:64")).partition(":")
    try:
        found = int(least), int(most or least)
    except ValueError:
        found = (0, 0)
    if not 1 <= found[0] <= found[1]:
        raise ConfigError(f"--engines must be a number from 1, or two such as 2:16, not {asked!r}")
    return found
