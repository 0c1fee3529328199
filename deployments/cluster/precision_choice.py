"""`precision: auto`: which version's artifact is the fastest on this machine and as exact as fp32 for all that users see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass

from models.catalog.catalog import Catalog, ModelSpec
from models.engine.openvino import bf16_refusal
from models.engine.processor import processor_flags
from models.errors import ConfigError
from models.graph.precision import precision_of

VARIABLE = "EMBEDSERVE_PRECISION"  # fp32: what the configuration names, whatever would be faster here
# Measured (docs/models.md): with amx_bf16, bf16 computes 2,985 texts/s where fp32 computes 957, at a cosine of 0.99997. On
# other processors with instructions for bfloat16 it is not offered, or was not measured.
FASTER = frozenset({"amx_bf16", "amx_tile"})


@dataclass(frozen=True)
class Choice:
    """The artifact for a version, and a line about it."""

    artifact: str  # name@version
    line: str


def choose(
    reference: str,
    artifact: str,
    catalog: Catalog,
    environment: Mapping[str, str],
    flags: Set[str] | None = None,
    refusal: Callable[[], str | None] = bf16_refusal,
) -> Choice:
    """What a version serves whose configuration leaves the precision open.

    Args:
        reference: the version.
        artifact: what its ``user_config`` names.
        catalog: where a bf16 version of the same model is looked for.
        environment: where an operator may say that there is nothing to choose.
        flags: of the processor; None for this one.
        refusal: why bfloat16 is not computed here.

    Raises:
        ConfigError: the environment asks for what cannot be chosen.
    """
    asked = environment.get(VARIABLE, "auto")
    if asked not in ("auto", "fp32"):
        raise ConfigError(
            f"{VARIABLE} must be auto or fp32, not {asked!r}; any other precision is a version of its own"
        )
    named = None if "@" not in artifact else catalog.find(artifact)
    if named is None or named.precision != "fp32":
        return Choice(artifact, f"{reference}: {artifact}, which its configuration names")
    faster = _bf16_of(named, catalog)
    flags = processor_flags() if flags is None else flags
    if asked == "fp32":
        why = f"{VARIABLE} says so"
    elif faster is None:
        why = "the catalogue has no bf16 version of it"
    elif (reason := refusal()) is not None:
        why = reason
    elif not flags >= FASTER:
        why = "bf16 was found faster on processors with amx_bf16 alone"
    else:
        return Choice(faster.reference, f"{reference}: bf16 ({faster.reference}), about 3 times as fast with amx_bf16")
    return Choice(artifact, f"{reference}: fp32; {why}")


def _bf16_of(named: ModelSpec, catalog: Catalog) -> ModelSpec | None:
    """The version in bf16 that is built from the same files in the same way."""
    alike = (
        spec
        for spec in catalog.models[named.model].values()
        if precision_of(spec.precision).bf16 and (spec.sources, spec.config) == (named.sources, named.config)
    )
    return next(alike, None)
