"""Which architectures are built from weights: each registered family is found, everything else is refused by name."""

from __future__ import annotations

import json

import pytest

from models.catalog.custom import describe_folder
from models.catalog.families import FAMILIES, family_of
from models.catalog.families.base import Family
from models.errors import ArtifactError
from models.modalities import MODALITIES
from tests.data.tiny import TinyModel

NAMES = sorted({name for family in FAMILIES for name in family.model_types})


def test_a_folder_of_an_unknown_architecture_is_refused_with_those_that_are_taken(tiny: TinyModel) -> None:
    path = tiny.folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_type": "t5"}))
    with pytest.raises(ArtifactError, match="model_type is 't5'; taken are") as caught:
        describe_folder("mine@1.0.0", tiny.folder)
    assert sorted(str(caught.value).partition("taken are ")[2].split(", ")) == NAMES


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_each_family_is_found_by_its_model_types_and_modality(family: Family) -> None:
    assert family.modality in MODALITIES
    for name in family.model_types:
        assert family_of({"model_type": name}, family.modality) is family


def test_a_tower_that_a_model_does_not_have_is_refused() -> None:
    with pytest.raises(ArtifactError, match="model_type is 'bert'"):
        family_of({"model_type": "bert"}, "image")
