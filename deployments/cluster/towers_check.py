"""Whether the towers that one name stands for are of one model: vectors of two checkpoints cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping

from deployments.config.gateway import GatewayConfig
from models.catalog.catalog import Catalog
from models.catalog.model_spec import ModelSpec
from models.catalog.source_entry import RANDOM, said
from models.errors import ConfigError, ModelNotFoundError


def check_towers(config: GatewayConfig, loaded: Mapping[str, str], catalog: Catalog, where: str) -> None:
    """Check that each version with traffic has one of the same checkpoint, with traffic, in the other towers of its name.

    Args:
        config: of the gateway.
        loaded: by ``name@version`` the catalogue's entry whose artifact it loads.
        catalog: of this machine; versions that it lacks are not checked.
        where: what the message begins with.

    Raises:
        ConfigError: a version has no partner, or one with other dimensions.
    """
    for name, towers in config.towers.items():
        routed = {modality: _routed(config, model, loaded, catalog) for modality, model in towers.items()}
        lead = next(iter(towers))
        for other in routed:
            for one, partners in ((lead, other), (other, lead)):
                if one == partners or not routed[one] or not routed[partners]:
                    continue
                for reference, spec in routed[one].items():
                    _require_partner((reference, spec), routed[partners], f"{where}: towers.{name}")


def _routed(config: GatewayConfig, model: str, loaded: Mapping[str, str], catalog: Catalog) -> dict[str, ModelSpec]:
    """The entries of a model's versions with traffic, by ``name@version``."""
    found = {}
    for version, weight in config.models[model].versions.items():
        reference = f"{model}@{version}"
        if weight > 0:
            try:
                found[reference] = catalog.find(loaded.get(reference, reference))
            except ModelNotFoundError:
                continue
    return found


def _require_partner(one: tuple[str, ModelSpec], partners: Mapping[str, ModelSpec], where: str) -> None:
    reference, spec = one
    fitting = {name: other for name, other in partners.items() if not spec.checkpoints.isdisjoint(other.checkpoints)}
    if not fitting:
        others = "; ".join(f"{name} of {said(other.checkpoints - {RANDOM})}" for name, other in partners.items())
        raise ConfigError(
            f"{where}: {reference} is of {said(spec.checkpoints - {RANDOM})}, and no version of the other tower with traffic is of the same "
            f"checkpoint ({others}): a sentence would find no picture. Route to versions of one model; if these are, say so "
            "with the same `checkpoint` in their entries of the catalogue"
        )
    wrong = next((name for name, other in fitting.items() if other.dimensions != spec.dimensions), None)
    if wrong is not None:
        raise ConfigError(
            f"{where}: {reference} and {wrong} have different dimensions: they are no towers of one model"
        )
