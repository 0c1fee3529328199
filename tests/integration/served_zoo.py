"""The zoo's models as a service serves them: added as `models add` adds them, and so many at a time."""

from __future__ import annotations

import base64
import copy
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from deployments.config.names import application_name
from models.catalog.custom import described
from models.catalog.download import Silent
from models.catalog.model_spec import ModelSpec
from models.catalog.paths import ROOT
from models.company import pull_measured
from models.errors import ArtifactError
from models.verify import verify
from tests.data.zoo import families, nomic, pictures, siglip, text_combinations, texts
from tests.integration.documents import Document, shipped
from tests.models.catalog.test_zoo_pictures import write_graph
from tests.models.catalog.zoo import finished_graph

DATA = ROOT / "tests" / "data"
AT_ONCE = 20  # models that one encoder serves, one after the other
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Wild:
    """A folder before it is added: what is asked of it, and what its library answers."""

    name: str
    folder: Path
    inputs: tuple[str, ...]  # of pictures the base64
    longest: int  # which of the inputs is asked for alone
    expected: Vectors  # not a number where the library takes no such input
    tower: Literal["image", "text"] = "text"


@dataclass(frozen=True)
class Kept:
    """The same in the catalogue."""

    wild: Wild
    spec: ModelSpec  # with its hash


def wild_texts(place: Path, *, finished: bool) -> Iterator[Wild]:
    """Every combination of text settings, from weights or with a finished graph in their place."""
    library = np.load(DATA / "zoo" / "texts.npz")
    for index, case in enumerate(text_combinations.combinations()):
        folder = case.write(place / f"text-{index}")
        if finished:
            (folder / "model.safetensors").unlink()
            (folder / "model.onnx").write_bytes(finished_graph())
        vectors = library[f"combinations_{library['combinations'][index]}"]
        expected = np.full((len(texts.TEXTS), vectors.shape[1]), np.nan, np.float32)
        expected[list(case.texts)] = vectors
        yield Wild(case.name, folder, texts.TEXTS, _longest(texts.TEXTS), expected)


def wild_pictures(place: Path) -> Iterator[Wild]:
    """A finished graph with every preparation of pictures."""
    library = np.load(DATA / "zoo" / "pictures.npz")
    squares = zip(pictures.combinations(), library["combinations"], strict=True)
    for index, (case, expected) in enumerate([*squares, *zip(pictures.oblongs(), library["oblongs"], strict=True)]):
        folder = case.write(place / f"picture-{index}")
        write_graph(folder / "model.onnx", case.shape)
        yield Wild(case.name, folder, _encoded(case.pictures), 0, expected, "image")


def wild_families(place: Path) -> Iterator[Wild]:
    """An encoder of each family that is built from weights."""
    library = np.load(DATA / "zoo" / "families.npz")
    for index, case in enumerate([*families.TEXT_CASES, *families.TOWER_CASES]):
        folder = families.write_text(case, place / f"family-{index}")
        yield Wild(case.name, folder, tuple(families.TEXTS), _longest(families.TEXTS), library[case.name])
    hub = next(nomic.mutations()).write(place / "nomic")
    plain = tuple(families.TEXTS)
    yield Wild("nomic in the hub's spelling", hub, plain, _longest(plain), np.load(DATA / "zoo" / "nomic.npz")["whole"])
    spelled = np.load(DATA / "zoo" / "siglip.npz")
    said = [i for i, text in enumerate(siglip.TEXTS) if text]
    inputs = tuple(siglip.TEXTS[i] for i in said)
    for index, words in enumerate(siglip.CASES):
        folder = words.write(place / f"siglip-{index}")
        yield Wild(f"siglip {words.name}", folder, inputs, _longest(inputs), spelled[words.name][said])
    for index, shown in enumerate(families.PICTURE_CASES):
        folder = families.write_picture(shown, place / f"tower-{index}")
        yield Wild(shown.name, folder, _encoded(families.PICTURES), 0, library[shown.name], "image")


def _longest(inputs: Sequence[str]) -> int:
    return max(range(len(inputs)), key=lambda i: len(inputs[i]))


def _encoded(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(base64.b64encode((DATA / "pictures" / name).read_bytes()).decode() for name in names)


def unseen(modality: str, number: int) -> str:
    """An input that no cache knows."""
    if modality == "text":
        return f"w{number}"
    file = io.BytesIO()
    Image.new("RGB", (9, 9), (number % 256, number // 256 % 256, 99)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def added(zoo: Sequence[Wild], catalog: Path) -> list[Kept]:
    """Build and verify each as `models add` does, and write a catalogue of those that are taken."""
    kept = []
    for index, wild in enumerate(zoo):
        try:
            found = described(f"zoo{index}@1", wild.folder, "fp32", wild.tower)
            spec, artifact = pull_measured(found.spec, Silent(), allow=False)
        except ArtifactError:
            continue
        assert all(check.passed for check in verify(spec)), wild.name
        kept.append(Kept(wild, spec.model_copy(update={"hash": artifact.hash})))
    entries = {
        one.spec.model: {"1": one.spec.model_dump(mode="json", exclude={"model", "version"}, exclude_none=True)}
        for one in kept
    }
    catalog.write_text(yaml.safe_dump({"models": entries}))
    return kept


def encoders_of(kept: Sequence[Kept]) -> list[list[Kept]]:
    """What each encoder serves in turn: models of one modality and one number of dimensions."""
    alike = sorted(kept, key=_shape)
    return [
        list(members[start : start + AT_ONCE])
        for members in (list(group) for _, group in groupby(alike, key=_shape))
        for start in range(0, len(members), AT_ONCE)
    ]


def _shape(kept: Kept) -> tuple[str, int]:
    return kept.spec.type, kept.spec.dimensions


def document_of(encoders: Sequence[Sequence[Kept]], turn: int) -> Document:
    """The configuration in which every encoder is at its ``turn``-th model, or at its last."""
    document = shipped()
    gateway, *shapes = document["applications"]
    routes: dict[str, Any] = {}
    document["applications"] = [gateway]
    for members in encoders:
        label = members[0].spec
        app = copy.deepcopy(next(app for app in shapes if app["name"].startswith(label.type)))
        app.update(name=application_name(label.model, "1"), args={"model": label.reference, "profile": "development"})
        deployment = app["deployments"][0]
        deployment["user_config"] = {"artifact": at_turn(members, turn).spec.reference}
        deployment["autoscaling_config"]["max_replicas"] = 1
        deployment["ray_actor_options"] = {"num_cpus": 0.01}
        document["applications"].append(app)
        routes[label.model] = {"type": label.type, "versions": {"1": 100}}
    config = gateway["deployments"][0]
    config["user_config"] = {**config["user_config"], "models": routes, "aliases": {}, "towers": {}}
    config["autoscaling_config"]["max_replicas"] = 1
    return document


def at_turn(members: Sequence[Kept], turn: int) -> Kept:
    """The model that an encoder serves at a turn."""
    return members[min(turn, len(members) - 1)]
