"""serve_config.yaml: read, and changed for a local start."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from deployments.cluster.applications import encoders, gateways, main_deployments, profiles, sleeps
from deployments.cluster.serve_file_check import check
from deployments.config.base import Profile, parse
from deployments.config.gateway import GatewayConfig
from models.catalog.catalog import Catalog
from models.catalog.paths import ROOT
from models.errors import ConfigError

GRPC_PORT = 9000  # Serve's own, where the configuration names none


@dataclass(frozen=True)
class ServeConfig:
    """A checked configuration of the whole service."""

    document: dict[str, Any]

    @classmethod
    def load(cls, path: Path | None = None) -> ServeConfig:
        """Read and check a configuration; without a path, ``./serve_config.yaml``, else the project's own.

        Raises:
            ConfigError: missing, no YAML, or invalid; the message names the key and what is allowed.
        """
        if path is None:
            here = Path("serve_config.yaml")
            path = here if here.is_file() else ROOT / "serve_config.yaml"
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"cannot read {path}: {error}") from error
        check(document, str(path))
        return cls(document)

    @property
    def port(self) -> int:
        """Where the service listens."""
        return int(self.document.get("http_options", {}).get("port", 8000))

    @property
    def grpc_port(self) -> int | None:
        """Where the service listens for gRPC; None where it does not."""
        options = self.document.get("grpc_options") or {}
        return int(options.get("port", GRPC_PORT)) if options.get("grpc_servicer_functions") else None

    @property
    def host(self) -> str:
        """The address on every node that the service listens on."""
        return str(self.document.get("http_options", {}).get("host", "0.0.0.0"))

    def applications(self) -> Iterator[dict[str, Any]]:
        """Every application's mapping."""
        yield from self.document["applications"]

    def artifacts(self) -> dict[str, int | None]:
        """What the encoders will load: ``name@version`` or paths, in order, each with its ``shrink_margin``."""
        return {
            deployment["user_config"]["artifact"]: deployment["user_config"].get("shrink_margin")
            for deployment in self._encoders()
        }

    def versions(self) -> dict[str, str]:
        """The version of each artifact, as requests name it, by what encoders load. One artifact may stand for several."""
        pairs = [(app["args"]["model"], main) for app in encoders(self.document) for main in main_deployments(app)]
        return {deployment["user_config"]["artifact"]: reference for reference, deployment in pairs}

    def sleeping(self) -> list[str]:
        """What encoders load that start when somebody asks them, in order; nothing of it is needed before."""
        found = [(sleeps(deployment), deployment["user_config"]["artifact"]) for deployment in self._encoders()]
        awake = {artifact for asleep, artifact in found if not asleep}
        return list(dict.fromkeys(artifact for asleep, artifact in found if asleep and artifact not in awake))

    def _encoders(self) -> Iterator[dict[str, Any]]:
        return (deployment for app in encoders(self.document) for deployment in main_deployments(app))

    def with_local(self, *, port: int | None = None, profile: Profile | None = None) -> ServeConfig:
        """The same configuration on another port or in another profile."""
        document = copy.deepcopy(self.document)
        if port is not None:
            document.setdefault("http_options", {})["port"] = port
        if profile is not None:
            for app in document["applications"]:
                app.setdefault("args", {})["profile"] = profile
        return ServeConfig(document)

    def with_precisions(self, environment: Mapping[str, str]) -> tuple[ServeConfig, list[str]]:
        """The same configuration with the fastest artifacts for this machine where it leaves the precision open, and a line each.

        Raises:
            CatalogError, ModelNotFoundError: the catalogue lacks an artifact.
            ConfigError: the environment asks for what cannot be chosen.
        """
        from deployments.cluster.precision_choice import choose  # it loads ONNX Runtime, which most commands do without

        document, lines = copy.deepcopy(self.document), []
        for app in encoders(document):
            for deployment in main_deployments(app):
                told = deployment["user_config"]
                if told.pop("precision", None) is None or profiles(document) != {"development"}:
                    continue
                choice = choose(app["args"]["model"], told["artifact"], Catalog.load(), environment)
                told["artifact"] = choice.artifact
                lines.append(choice.line)
        return ServeConfig(document), lines

    def with_cores(self, cores: int) -> ServeConfig:
        """The same configuration with room for a replica on each core where it says of a scaled deployment only how it scales."""
        document = copy.deepcopy(self.document)
        for deployment in (deployment for app in document["applications"] for deployment in app.get("deployments", [])):
            scaling = deployment.get("autoscaling_config")
            if scaling is not None and scaling.get("max_replicas") is None:
                scaling["max_replicas"] = max(cores, scaling.get("min_replicas") or 1)
        return ServeConfig(document)

    @property
    def auth(self) -> Literal["keys", "none"]:
        """Whether the gateway asks for API keys where there are some."""
        configs = [app["deployments"][0]["user_config"] for app in gateways(self.document)]
        return parse(GatewayConfig, configs[0], "user_config of the gateway").auth if configs else "keys"

    @property
    def profiles(self) -> set[str]:
        """The profiles of its applications; more than one is refused by ``check``."""
        return profiles(self.document)
