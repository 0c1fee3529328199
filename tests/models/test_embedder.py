from __future__ import annotations

from dataclasses import replace

import pytest

from models.embedder import open_embedder
from models.errors import ArtifactError
from tests.models.loading import artifact_of


@pytest.mark.parametrize(("reference", "given"), [("text-embedding@1.1.0", 384), ("image-embedding@1.1.0", 512)])
def test_a_graph_of_other_dimensions_than_the_catalogue_says_is_refused(reference: str, given: int) -> None:
    artifact = artifact_of(reference)
    other = replace(artifact, spec=artifact.spec.model_copy(update={"dimensions": 7}))
    with pytest.raises(ArtifactError, match=f"gives vectors of {given} dimensions, the catalogue says 7"):
        open_embedder(other)
