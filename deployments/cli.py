"""``embedserve``: start a service, look at one, and use models without one."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from deployments import models_cli
from models.errors import EmbedserveError

app = typer.Typer(
    name="embedserve",
    help="Text and image embeddings over HTTP: ONNX Runtime models on Ray Serve.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(models_cli.app, name="models")
console = Console(stderr=True)


@app.command()
def up(
    config: Annotated[Path | None, typer.Option(help="the configuration; ./serve_config.yaml by default")] = None,
    port: Annotated[int | None, typer.Option(help="listen here instead of on the configuration's port")] = None,
    profile: Annotated[
        str | None, typer.Option(help="development or production; the configuration's by default")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="deploy onto a running Ray instead: its dashboard, http://127.0.0.1:8265")
    ] = None,
    beside: Annotated[bool, typer.Option("--beside", help="start a Ray of our own beside one that runs")] = False,
    timeout: Annotated[float, typer.Option(help="seconds to wait until the service is ready")] = 300,
) -> None:
    """Get the models, start Ray and the service, and stay in the foreground until Ctrl-C."""
    _command("up").up(console, config, port, profile, address, beside, timeout)


@app.command()
def status(
    url: Annotated[str, typer.Option(help="the service")] = "http://127.0.0.1:8000",
) -> None:
    """Show what a running service serves: versions, hashes, states, shares, replicas."""
    _command("status").status(Console(), url)


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


def _command(name: str) -> Any:
    """Import a command when it is called: Ray alone takes a second."""
    return importlib.import_module(f"deployments.commands.{name}")


def main() -> None:
    """Run the command line; errors of ours are one clear line."""
    try:
        app()
    except EmbedserveError as error:
        console.print(f"[bold red]error:[/] {error}", markup=True, highlight=False)
        raise SystemExit(1) from None
