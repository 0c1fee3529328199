"""An engine is held to what a live service computes: artifact, numerics class and bits."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from deployments.backfill import block
from deployments.backfill.block_engine import BlockEngine
from deployments.backfill.expectation import Expectation, golden_items
from deployments.backfill.identity import on_this_machine
from deployments.backfill.model import Wanted, artifact_of, numerics_of, open_model
from models.errors import ArtifactError, EmbedserveError
from tests.deployments.backfill.conftest import MODEL

OTHER = "text-embedding@1.1.0"  # another artifact of the same dimensions, as `precision: auto` puts under a name


def served(reference: str) -> Expectation:
    """What a service with this artifact and this machine's engine would say."""
    embedder = open_model(Wanted(reference, "development"), 1, 0)
    golden = embedder.embed_items(golden_items("text"))
    return Expectation(embedder.artifact.hash, numerics_of(embedder), golden, "the service serves")


def changed(golden: np.ndarray) -> np.ndarray:
    found = golden.copy()
    found[2, 7] = np.nextafter(found[2, 7], 2, dtype=np.float32)
    return found


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("hash", r"has content hash [0-9a-f]{64} here, and the service serves 0{64}"),
        ("numerics", "would be computed here as .*, and the service serves cuda/fp16/x"),
        (
            "golden",
            "1 of 4 golden vectors differ in bits from those that the service serves, although hash and numerics",
        ),
    ],
)
def test_an_engine_that_differs_in_one_thing_is_refused_by_what_it_is(what: str, says: str) -> None:
    right = served(MODEL)
    embedder = open_model(Wanted(MODEL, "development"), 1, 0)
    assert right.golden is not None
    wrong = {"hash": "0" * 64, "numerics": "cuda/fp16/x", "golden": changed(right.golden)}
    right.require(embedder, numerics_of(embedder))
    with pytest.raises(ArtifactError, match=says):
        replace(right, **{what: wrong[what]}).require(embedder, numerics_of(embedder))
    wanted = Wanted(MODEL, "development", right.hash)
    early = BlockEngine(wanted, replace(right, **{what: wrong[what]}), 1, 0)
    late = BlockEngine(wanted, Expectation(), 1, 0)
    late.hold_to(replace(right, **{what: wrong[what]}))
    for engine in (early, late):
        with pytest.raises(EmbedserveError, match=says):
            engine.proof.expectation(wanted)
        assert re.search(says, engine(block.empty(0))["error"])


def test_the_artifact_that_a_service_has_under_a_name_is_found_on_this_machine() -> None:
    own, other = artifact_of(Wanted(MODEL, "development")), artifact_of(Wanted(OTHER, "development"))
    for live, artifact, wanted in (
        (None, MODEL, own.hash),
        (Expectation(own.hash), MODEL, own.hash),
        (Expectation(other.hash), OTHER, other.hash),
        (Expectation("0" * 64), MODEL, own.hash),  # nobody's: refused later, by the hash
    ):
        found = on_this_machine(MODEL, "development", live)
        assert (found.spec.reference, found.artifact, found.hash) == (MODEL, artifact, wanted)
