"""What the names in requests stand for, as the gateway's configuration says: models, aliases, and names with several towers."""

from __future__ import annotations

from deployments.config.gateway import GatewayConfig


def names_of(config: GatewayConfig) -> list[str]:
    """All that requests may name a model by, without versions."""
    return [*config.models, *config.towers, *config.aliases]


def towers_of(config: GatewayConfig, name: str) -> dict[str, str] | None:
    """By modality the models that a name, alias or ``name@version`` stands for; None for a name of one model."""
    return config.towers.get(config.aliases.get(name, name).partition("@")[0])


def target_of(config: GatewayConfig, name: str, modality: str | None = None) -> str:
    """The model, or its ``name@version``, that a name stands for: of several towers the one of ``modality``, else the leading one."""
    target = config.aliases.get(name, name)
    model, at, version = target.partition("@")
    towers = config.towers.get(model)
    if towers is None:
        return target
    return f"{towers.get(modality or '') or next(iter(towers.values()))}{at}{version}"
