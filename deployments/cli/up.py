"""``embedserve up``: models, Ray, service; in the foreground until Ctrl-C."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from deployments.cli.console_reporter import console_reporter
from deployments.cli.ready_message import grpc_address, ready_panel, write_ready_file
from deployments.cli.start_checks import require_free, require_keys, require_secret
from deployments.cli.synthetic_warning import warn_served
from models.errors import ConfigError
from models.redaction import redacted

if TYPE_CHECKING:
    from deployments.cluster.serve_api import ServeApi
    from deployments.cluster.serve_file import ServeConfig
    from deployments.config.base import Profile
    from models.catalog.artifact import Artifact


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
    no_kube: Annotated[
        bool, typer.Option("--no-kube", help="with --address: deploy although a RayService keeps that Serve to its own")
    ] = False,
    ready_file: Annotated[
        Path | None,
        typer.Option(help="write url and dashboard here, as JSON, once it is ready: for programs that wait"),
    ] = None,
) -> None:
    """Get the models, start Ray and the service, and stay in the foreground until Ctrl-C."""
    from deployments.autoscaling.core_budget import cores_of
    from deployments.cli.late_models import LateModels
    from deployments.cli.local_service import LocalService
    from deployments.cluster.ray_token import require_ray_token
    from deployments.cluster.run_folder import clear_leftovers
    from deployments.cluster.serve_api import ServeApi
    from deployments.cluster.serve_file import ServeConfig
    from deployments.cluster.start_environment import prepare
    from deployments.config.old_import_paths import refuse_old_variable
    from models.engine.cores import usable_cores

    console = Console(stderr=True)
    wanted = ServeConfig.load(config).with_local(port=port, profile=_profile(profile))
    if address is not None:
        url = _join(console, address, wanted, timeout, no_kube)
        write_ready_file(ready_file, url, address, grpc_address(url, wanted.grpc_port))
        return
    refuse_old_variable()
    require_ray_token()
    for folder in clear_leftovers():
        console.print(f"cleared what an earlier run left in {folder}", highlight=False)
    require_free(wanted, beside)
    for line in prepare(wanted.host, wanted.port, os.environ):
        console.print(f"note: {line}", highlight=False, markup=False, soft_wrap=True)
    asks_for_keys = require_keys(wanted)
    require_secret(wanted)
    wanted, precisions = wanted.with_cores(cores_of(os.environ) or usable_cores()).with_precisions(os.environ)
    for line in precisions:
        console.print(f"precision of {line}", highlight=False, markup=False, soft_wrap=True)
    artifacts = _pull(console, wanted)
    later = LateModels(console, wanted)
    names = wanted.versions()
    listed = [(a.spec.reference, a.spec.name, a.spec.dimensions, a.hash) for a in artifacts] + later.listed
    served = [
        (names.get(artifact, artifact), name, dimensions, digest) for artifact, name, dimensions, digest in listed
    ]

    def deploy(dashboard: str, logs: Path) -> str:
        url = _deploy(console, ServeApi(dashboard), wanted, timeout, logs)
        later.begin()
        return url

    LocalService(console, deploy, served, asks_for_keys, ready_file, wanted.grpc_port).run()


def _join(console: Console, address: str, config: ServeConfig, timeout_s: float, no_kube: bool) -> str:
    """Deploy onto a Ray that runs, and return the service's URL.

    The Ray's nodes get the models; this machine may lack their files and never needs them.

    Raises:
        ConfigError: its Serve belongs to a RayService, and ``no_kube`` was not said.
    """
    from deployments.cluster.serve_api import ClusterError, ServeApi
    from deployments.operator.kuberay import require_ours
    from deployments.operator.served import served_versions

    if not address.startswith(("http://", "https://")):
        raise ClusterError(f"--address is the URL of Ray's dashboard, such as http://127.0.0.1:8265, not {address!r}")
    api = ServeApi(address)
    if not no_kube:
        require_ours(
            api.details(), instead="apply a manifest with this configuration, or change it by the commands with --kube"
        )
    if not api.asks_for_token():
        console.print(
            f"warning: the Ray at {address} asks for no token: whoever reaches its ports runs code there. Start its nodes "
            "with RAY_AUTH_MODE=token",
            highlight=False,
            soft_wrap=True,
        )
    url = _deploy(console, api, config, timeout_s)
    served = [(v["id"], v["name"], v["dimensions"], v["hash"]) for v in served_versions(url) if v["hash"]]
    footer = f"on the Ray at {redacted(address)}; it goes on when this command ends"
    grpc = grpc_address(url, config.grpc_port)
    console.print(ready_panel(url, served, footer, asks_for_keys=config.auth == "keys", grpc=grpc))
    return url


def _profile(name: str | None) -> Profile | None:
    if name is None or name == "development":
        return name  # type: ignore[return-value]
    if name == "production":
        return "production"
    raise ConfigError(f"--profile must be development or production, not {name!r}")


def _pull(console: Console, config: ServeConfig) -> list[Artifact]:
    from models.catalog.artifact import with_shrinking
    from models.catalog.catalog import Catalog
    from models.catalog.record import is_synthetic
    from models.catalog.store import pull

    catalog = Catalog.load()
    later = config.sleeping()
    synthetic_allowed = config.profiles == {"development"}
    with console_reporter() as reporter:
        artifacts = [
            with_shrinking(pull(catalog.find(name), allow_synthetic=synthetic_allowed, reporter=reporter), margin)
            for name, margin in config.artifacts().items()
            if "@" in name and name not in later
        ]
    for artifact in artifacts:
        if is_synthetic(artifact):
            warn_served(console, artifact.spec.reference, artifact.spec.name)
    return artifacts


def _deploy(console: Console, api: ServeApi, config: ServeConfig, timeout_s: float, logs: Path | None = None) -> str:
    """Deploy, wait, and return the service's URL; ``logs`` are the session's, where Ray runs on this machine."""
    from deployments.cluster.start_log import StartLog
    from deployments.cluster.waiting import wait_until_ready

    with console.status("deploying") as spinner:
        api.deploy(config)
        return wait_until_ready(
            api,
            config,
            timeout_s,
            lambda states: spinner.update("deploying: " + ", ".join(f"{n} {s.lower()}" for n, s in states.items())),
            lambda said: console.print(f"starting: {said}", highlight=False, markup=False, soft_wrap=True),
            None if logs is None else StartLog(logs),
        )
