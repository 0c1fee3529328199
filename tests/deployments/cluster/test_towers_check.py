"""Towers that one name stands for are checked before anything starts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from deployments.cluster.serve_file_check import check
from models.catalog.catalog import Catalog
from models.catalog.paths import ROOT
from models.errors import ConfigError

Document = dict[str, Any]
NAME, TEXT, IMAGE = "clip-vit-base-patch32", "clip-text-embedding", "image-embedding"


def shipped() -> Document:
    document: Document = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    return document


def gateway(document: Document) -> Document:
    config: Document = document["applications"][0]["deployments"][0]["user_config"]
    return config


def towers(document: Document, **changed: str) -> None:
    gateway(document)["towers"][NAME].update(changed)


def artifact(document: Document, model: str, name: str) -> None:
    app = next(app for app in document["applications"] if app["args"].get("model", "").startswith(model))
    app["deployments"][0]["user_config"]["artifact"] = name


def test_the_shipped_towers_are_of_one_checkpoint_in_every_precision() -> None:
    specs = Catalog.load().models
    for text in specs[TEXT].values():
        for image in specs[IMAGE].values():
            assert {"Xenova/clip-vit-base-patch32@d15189d7"} <= text.checkpoints & image.checkpoints
    check(shipped(), "serve_config.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: towers(d, text="text-embedding"),
            "image-embedding@1.0.0 is of Xenova/clip-vit-base-patch32@d15189d7, and no version of the other tower",
        ),
        (
            lambda d: artifact(d, TEXT, "text-embedding@1.0.0"),
            "clip-text-embedding@1.0.0 of sentence-transformers/all-MiniLM-L6-v2@1110a243",
        ),
        (lambda d: towers(d, text="nothing"), f"towers.{NAME}.text is 'nothing'; models of that type are: text-emb"),
        (lambda d: towers(d, image=TEXT), f"towers.{NAME}.image is 'clip-text-embedding'"),
        (lambda d: towers(d, sound=TEXT), "sound"),
        (lambda d: gateway(d)["towers"].update({NAME: {"text": TEXT}}), "at least 2"),
        (lambda d: gateway(d)["towers"].update({TEXT: gateway(d)["towers"][NAME]}), "is a model or an alias already"),
        (lambda d: gateway(d)["aliases"].update({"x": f"{NAME}@9"}), "alias 'x' points at"),
    ],
    ids=[
        "a text model of another checkpoint",
        "an artifact of another checkpoint under the tower's label",
        "a model that is not there",
        "a text model as the tower of pictures",
        "a modality that is not there",
        "a single tower",
        "a name that is taken",
        "an alias of a version that no tower has",
    ],
)
def test_what_does_not_belong_together_is_refused_at_start(change: Callable[[Document], None], message: str) -> None:
    document = copy.deepcopy(shipped())
    change(document)
    with pytest.raises(ConfigError, match=message):
        check(document, "serve_config.yaml")


def test_an_alias_may_stand_for_a_name_with_towers() -> None:
    document = shipped()
    gateway(document)["aliases"]["clip"] = NAME
    gateway(document)["token_vocabulary"] = {NAME: "model"}
    check(document, "serve_config.yaml")
