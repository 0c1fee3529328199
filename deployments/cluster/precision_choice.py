"""`precision: auto`: which version's artifact is the fastest on this machine and as exact as fp32 for all that users see."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models.catalog.catalog import Catalog
from models.catalog.model_spec import ModelSpec
from models.engine.openvino import bf16_refusal
from models.errors import ConfigError
from models.graph.precision import precision_of
from models.trial_record import note, record_of

VARIABLE = "EMBEDSERVE_PRECISION"  # fp32: what the configuration names, whatever would be faster here
TRIAL_S = 300  # to build the artifact and compare its vectors with the exact ones


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
    refusal: Callable[[], str | None] = bf16_refusal,
    trial: Callable[[str, str], str | None] | None = None,
) -> Choice:
    """What a version serves whose configuration leaves the precision open.

    Args:
        reference: the version.
        artifact: what its ``user_config`` names.
        catalog: where a bf16 version of the same model is looked for.
        environment: where an operator may say that there is nothing to choose.
        refusal: why bfloat16 is not computed here.
        trial: tries on this machine whether one version may stand in for another, and says why not; None for ``tried``.

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
    faster = bf16_of(named, catalog)
    if asked == "fp32":
        why = f"{VARIABLE} says so"
    elif faster is None:
        why = "the catalogue has no bf16 version of it"
    elif (reason := refusal()) is not None:
        why = reason
    elif (reason := (trial or tried)(faster.reference, named.reference)) is not None:
        why = f"bf16 was tried on this machine: {reason}"
    else:
        # Measured (docs/models.md): with amx_bf16 3 times as fast as fp32, with avx512_bf16 1.2 to 2.4 times, at cosines above 0.9998.
        return Choice(
            faster.reference, f"{reference}: bf16 ({faster.reference}), which this processor computes faster than fp32"
        )
    return Choice(artifact, f"{reference}: fp32; {why}")


def tried(faster: str, exact: str) -> str | None:
    """Why one version may not stand in for another on this machine; None where its vectors are close and keep their bits.

    Only what passed is remembered: a text model's trial takes 2 s, CLIP's 5 s, at every start.
    """
    record = record_of(faster, exact)
    if record is not None and record.is_file():
        return None
    command = [sys.executable, "-m", "models.trial", faster, exact]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TRIAL_S, check=False)
    except subprocess.TimeoutExpired:
        return f"no result within {TRIAL_S} s"
    if ended.returncode == 0:
        note(faster, exact)
        return None
    said = (ended.stdout + ended.stderr).strip().splitlines()
    return f"{said[-1] if said else 'no message'} (status {ended.returncode})"


def bf16_of(named: ModelSpec, catalog: Catalog) -> ModelSpec | None:
    """The version in bf16 that is built from the same files in the same way."""
    alike = (
        spec
        for spec in catalog.models[named.model].values()
        if precision_of(spec.precision).bf16
        and (spec.sources, spec.config, spec.adapted) == (named.sources, named.config, named.adapted)
    )
    return next(alike, None)
