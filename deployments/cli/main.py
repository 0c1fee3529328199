"""``embedserve``: start a service, look at one, and use models without one."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from deployments.cli import keys, models
from models.errors import EmbedserveError

app = typer.Typer(
    name="embedserve",
    help="Text and image embeddings over HTTP: ONNX Runtime models on Ray Serve.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")
console = Console(stderr=True)

# What the commands that change a running service have in common.
DASHBOARD = "http://127.0.0.1:8265"
TIMEOUT_S = 120.0
Dashboard = Annotated[
    str, typer.Option(envvar="RAY_DASHBOARD_ADDRESS", help="Ray's dashboard, which has Serve's REST API")
]
Url = Annotated[str | None, typer.Option(help="the service; found on the dashboard's host when left out")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="check, show the plan, and change nothing")]
Write = Annotated[Path | None, typer.Option(help="make the same change in this serve_config.yaml")]
Timeout = Annotated[float, typer.Option(min=1, help="seconds each step has to get healthy, else all goes back")]
NoCheck = Annotated[bool, typer.Option("--no-check", help="the artifact is on the cluster's nodes only: try it there")]


@app.command()
def up(
    config: Annotated[Path | None, typer.Option(help="the configuration; ./serve_config.yaml by default")] = None,
    port: Annotated[int | None, typer.Option(help="listen here instead of on the configuration's port")] = None,
    profile: Annotated[
        str | None, typer.Option(help="development or production; the configuration's by default")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="join a running Ray instead, by its dashboard: http://127.0.0.1:8265")
    ] = None,
    beside: Annotated[bool, typer.Option("--beside", help="start a Ray of our own beside one that runs")] = False,
    timeout: Annotated[float, typer.Option(help="seconds to wait until the service is ready")] = 300,
) -> None:
    """Get the models, start Ray and the service, and stay in the foreground until Ctrl-C."""
    _command("up").up(console, config, port, profile, address, beside, timeout)


@app.command()
def status(
    url: Annotated[str, typer.Option(help="the service")] = "http://127.0.0.1:8000",
    watch: Annotated[bool, typer.Option("--watch", help="keep the table up to date until Ctrl-C")] = False,
    interval: Annotated[float, typer.Option(min=0.2, help="seconds between two looks of --watch")] = 2,
) -> None:
    """Show what a running service serves: versions, states, hashes, shares, replicas, rates, latencies, errors."""
    _command("status").status(Console(), url, interval if watch else None)


@app.command()
def embed(
    source: Annotated[str, typer.Argument(help="a text, or the path of a picture")],
    model: Annotated[
        str | None, typer.Option(help="name@version; text-embedding or image-embedding by default")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="save the vector here as .npy instead of printing it")] = None,
    profile: Annotated[str, typer.Option(help="production refuses synthetic weights")] = "development",
) -> None:
    """Embed one text or picture on this machine, without a service and without Ray."""
    _command("embed").embed(source, model, output, profile)


@app.command()
def swap(
    reference: Annotated[str, typer.Argument(help="the version that changes, name@version; its label stays")],
    to: Annotated[str, typer.Option(help="a version of the same model, name@version, or the path of a graph")],
    no_check: NoCheck = False,
    dashboard: Dashboard = DASHBOARD,
    url: Url = None,
    dry_run: DryRun = False,
    write: Write = None,
    timeout: Timeout = TIMEOUT_S,
) -> None:
    """Let a version load another artifact while it serves."""
    _command("swap").swap(Console(), reference, to, not no_check, _options(dashboard, url, dry_run, write, timeout))


@app.command()
def route(
    model: Annotated[str, typer.Argument(help="whose traffic")],
    weights: Annotated[list[str] | None, typer.Argument(help="VERSION=WEIGHT ...; the others get 0")] = None,
    shadow: Annotated[list[str] | None, typer.Option(help="VERSION=PERCENT of requests also copied to it")] = None,
    dashboard: Dashboard = DASHBOARD,
    url: Url = None,
    dry_run: DryRun = False,
    write: Write = None,
    timeout: Timeout = TIMEOUT_S,
) -> None:
    """Share a model's traffic between its versions."""
    options = _options(dashboard, url, dry_run, write, timeout)
    _command("route").route(Console(), model, weights or [], shadow or [], options)


@app.command()
def add(
    reference: Annotated[str, typer.Argument(help="name@version of the catalogue")],
    no_check: NoCheck = False,
    dashboard: Dashboard = DASHBOARD,
    url: Url = None,
    dry_run: DryRun = False,
    write: Write = None,
    timeout: Timeout = TIMEOUT_S,
) -> None:
    """Deploy one more version of a model beside the others, with weight 0."""
    _command("add").add(Console(), reference, not no_check, _options(dashboard, url, dry_run, write, timeout))


@app.command()
def remove(
    reference: Annotated[str, typer.Argument(help="name@version")],
    drain: Annotated[bool, typer.Option("--drain", help="give its traffic to the other versions first")] = False,
    drain_time: Annotated[float, typer.Option(help="seconds that requests under way have to finish")] = 5,
    dashboard: Dashboard = DASHBOARD,
    url: Url = None,
    dry_run: DryRun = False,
    write: Write = None,
    timeout: Timeout = TIMEOUT_S,
) -> None:
    """Take a version away without losing a request."""
    options = _options(dashboard, url, dry_run, write, timeout, drain_time)
    _command("remove").remove(Console(), reference, drain, options)


@app.command()
def promote(
    reference: Annotated[str, typer.Argument(help="name@version")],
    dashboard: Dashboard = DASHBOARD,
    url: Url = None,
    dry_run: DryRun = False,
    write: Write = None,
    timeout: Timeout = TIMEOUT_S,
) -> None:
    """Give a version all traffic of its model."""
    _command("promote").promote(Console(), reference, _options(dashboard, url, dry_run, write, timeout))


@app.command()
def rollback(
    model: Annotated[str, typer.Argument(help="whose routing and artifacts go back to before the last change")],
    no_check: NoCheck = False,
    dashboard: Dashboard = DASHBOARD,
    url: Url = None,
    dry_run: DryRun = False,
    write: Write = None,
    timeout: Timeout = TIMEOUT_S,
) -> None:
    """Undo the last change of a model; a second time undoes that."""
    _command("rollback").rollback(Console(), model, not no_check, _options(dashboard, url, dry_run, write, timeout))


def _options(
    dashboard: str, url: str | None, dry_run: bool, write: Path | None, timeout: float, drain: float = 5
) -> Any:
    """What the commands that change a service have in common."""
    kind = importlib.import_module("deployments.operator.execute").Options
    return kind(dashboard, url, dry_run, write, timeout, drain)


def _command(name: str) -> Any:
    """Import a command when it is called: Ray alone takes a second."""
    return importlib.import_module(f"deployments.cli.{name}")


def main() -> None:
    """Run the command line; errors of ours are one clear line."""
    try:
        app()
    except EmbedserveError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
