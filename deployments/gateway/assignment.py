"""The versions that a configuration gives to keys, without a gateway: for joining outcomes with an exposure log.

In a notebook::

    from deployments.gateway.assignment import Assignments
    of = Assignments.load("serve_config.yaml")
    frame["version"] = [of.assign("text-embedding", key).version for key in frame["user"]]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deployments.config.base import parse
from deployments.config.gateway import GatewayConfig
from deployments.config.names import GATEWAY_PATH
from deployments.contract.short_repr import short_repr
from deployments.gateway.model_names import names_of, target_of
from deployments.gateway.traffic_split import Choice, experiment, route
from models.errors import ConfigError, ModelNotFoundError


@dataclass(frozen=True)
class Assignments:
    """The routes of one configuration, as gateways apply them while every version is ready."""

    config: GatewayConfig

    @classmethod
    def load(cls, path: str | Path) -> Assignments:
        """Of a ``serve_config.yaml``, or of what ``embedserve history --show`` prints.

        Raises:
            ConfigError: it cannot be read, or is wrong.
        """
        try:
            document: Any = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"cannot read {path}: {error}") from error
        return cls.of(document, str(path))

    @classmethod
    def of(cls, document: Any, where: str) -> Assignments:
        """Of a Serve configuration.

        Raises:
            ConfigError: it has no gateway, or a wrong one.
        """
        found = document.get("applications") if isinstance(document, dict) else None
        for app in found or ():
            if isinstance(app, dict) and app.get("import_path") == GATEWAY_PATH and app.get("deployments"):
                told = app["deployments"][0].get("user_config")
                return cls(parse(GatewayConfig, told, f"{where}: user_config of the gateway"))
        raise ConfigError(f"{where} has no gateway application ({GATEWAY_PATH}); is it a Serve configuration?")

    def assign(self, name: str, key: str | None, headers: Mapping[str, str] | None = None) -> Choice:
        """The version that answers for a name, alias or ``name@version`` and a routing key.

        Args:
            name: as requests name it.
            key: ``x-routing-key``, or OpenAI's ``user``; requests without one are drawn anew each time.
            headers: in lower case, where overrides match one.

        Raises:
            ModelNotFoundError: there is no such model or version.
        """
        model, version = self._found(name)
        if version:
            return Choice(version, "pin")
        return route(self.config.models[model], key, headers or {})

    def experiment(self, name: str) -> str:
        """The name under which an exposure log knows the routes of a model."""
        model, _ = self._found(name)
        return experiment(model, self.config.models[model])

    def _found(self, name: str) -> tuple[str, str]:
        model, _, version = target_of(self.config, name).partition("@")
        routes = self.config.models.get(model)
        if routes is None:
            known = ", ".join(names_of(self.config))
            raise ModelNotFoundError(f"no model {short_repr(name)} in this configuration; there are: {known}")
        if version and version not in routes.versions:
            there = ", ".join(routes.versions)
            raise ModelNotFoundError(f"no version {short_repr(version)} of {model} there; there are: {there}")
        return model, version
