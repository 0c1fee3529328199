"""Swaps: the next artifact proves itself before it serves, and one that fails leaves the old one serving."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from deployments.config.base import Profile
from deployments.config.encoder import EncoderConfig
from deployments.contract.embedding import Label
from deployments.encoder.artifact_slot import ArtifactSlot
from deployments.encoder.device import options_for
from deployments.encoder.loaded import Loaded
from deployments.encoder.numerics_agreement import Agreement
from models.align.adapted_entry import adapted_entry
from models.catalog.artifact import tokenizer_path
from models.catalog.catalog import Catalog
from models.catalog.entries import add_entry
from models.catalog.store import pull
from models.errors import ArtifactError, ConfigError
from models.graph.space_map import SpaceMap
from tests.deployments.encoder import tiny_catalog
from tests.deployments.encoder.tiny_catalog import FIRST, NEXT, WIDE


class Replica:
    """A slot as an encoder holds it, on a CPU."""

    def __init__(self, threads: ThreadPoolExecutor, profile: Profile = "development") -> None:
        self.switched: list[str] = []
        spec = Catalog.load().find(FIRST)
        self.slot = ArtifactSlot(
            spec,
            profile,
            threads,
            self._note,
            lambda config, artifact: options_for(config, artifact, 0, None),
            Agreement(siblings=self._siblings).require,
        )

    async def _siblings(self) -> list[Label]:
        return []

    def _note(self, _: EncoderConfig, loaded: Loaded) -> None:
        self.switched.append(loaded.label.hash)

    async def change(self, artifact: str, **more: object) -> bool:
        return await self.slot.change({"artifact": artifact, "threads": 1, **more})


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture(autouse=True)
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue of the test's own."""
    tiny_catalog.use(tmp_path, monkeypatch)


def hash_of(reference: str) -> str:
    return pull(Catalog.load().find(reference), allow_synthetic=False).hash


async def test_a_call_that_names_another_artifact_is_told_which_one_serves(threads: ThreadPoolExecutor) -> None:
    replica = Replica(threads)
    assert await replica.change(FIRST)
    assert replica.slot.refusal(None) is replica.slot.refusal(hash_of(FIRST)) is None
    refusal = replica.slot.refusal(hash_of(NEXT))
    assert refusal is not None
    assert refusal.label == replica.slot.current.label
    assert await replica.change(NEXT)
    assert replica.slot.refusal(hash_of(NEXT)) is None
    assert replica.slot.refusal(hash_of(FIRST)) is not None


async def test_a_swap_changes_the_artifact_and_keeps_the_label(threads: ThreadPoolExecutor) -> None:
    replica = Replica(threads)
    with pytest.raises(ArtifactError, match=f"{FIRST} has no artifact yet"):
        _ = replica.slot.current
    assert await replica.change(FIRST)
    assert await replica.change(NEXT, hash=hash_of(NEXT))
    label = replica.slot.current.label
    assert (label.model, label.hash, label.synthetic) == (FIRST, hash_of(NEXT), False)
    assert replica.switched == [hash_of(FIRST), hash_of(NEXT)]
    assert await replica.change(NEXT, hash=hash_of(NEXT))
    assert len(replica.switched) == 2  # nothing is loaded again for the same configuration


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"artifact": NEXT, "batch_kost": 1}, "batch_kost"),
        ({"artifact": NEXT, "hash": "0" * 64}, "user_config asks for 0000"),
        ({"artifact": "tiny@9.9.9"}, "no version '9.9.9' of tiny"),
        ({"artifact": WIDE}, "give it a version of its own"),
        ({"artifact": NEXT, "shrink_margin": 3}, "shrink_margin is for models of pictures"),
    ],
    ids=["an unknown key", "another hash", "an unknown version", "other dimensions", "a key of another modality"],
)
async def test_a_swap_that_is_refused_leaves_the_old_artifact_serving(
    threads: ThreadPoolExecutor, change: dict[str, object], reason: str
) -> None:
    replica = Replica(threads)
    await replica.change(FIRST)
    before = replica.slot.current
    assert not await replica.slot.change(change)
    assert replica.slot.current is before
    assert reason in str(replica.slot.swap_error)
    assert await replica.change(NEXT)
    assert replica.slot.swap_error is None


async def test_a_class_that_this_processor_does_not_compute_is_refused_before_it_serves(
    threads: ThreadPoolExecutor,
) -> None:
    other = "cpu/fp32/of-another-planet/onnxruntime-1.0.0"
    replica = Replica(threads)
    with pytest.raises(ArtifactError, match=f"would be computed here as cpu/fp32/.* and user_config asks for {other}"):
        await replica.change(FIRST, numerics=other)
    assert await replica.change(FIRST)
    numerics = replica.slot.current.label.numerics
    assert await replica.change(FIRST, numerics=numerics)
    assert not replica.slot.current.mixed
    assert not await replica.change(FIRST, numerics=other)
    assert other in str(replica.slot.swap_error)
    assert replica.slot.current.label.numerics == numerics
    assert await replica.change(FIRST, numerics="mixed")
    assert replica.slot.current.mixed


async def test_what_everybody_reads_of_a_refused_swap_names_the_file_and_no_folder(
    threads: ThreadPoolExecutor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    replica = Replica(threads)
    await replica.change(FIRST)
    lost = tmp_path / "a folder" / "lost.onnx"
    assert not await replica.change(str(lost))
    assert "lost.onnx does not exist" in str(replica.slot.swap_error)
    assert str(tmp_path) not in str(replica.slot.swap_error)
    assert "folder/" not in str(replica.slot.swap_error)
    assert str(lost) in caplog.text, "the operator's log has all of it"


async def test_production_serves_no_file_of_which_nothing_says_what_it_should_be(
    threads: ThreadPoolExecutor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = pull(Catalog.load().find(NEXT), allow_synthetic=False)
    assert made.tokenizer is not None
    put = tmp_path / "put" / "by-hand.onnx"
    put.parent.mkdir()
    put.write_bytes(made.graph.read_bytes())
    tokenizer_path(put).write_bytes(made.tokenizer.read_bytes())
    production = Replica(threads, "production")
    await production.change(FIRST)
    assert not await production.change(str(put))
    assert f"`hash: {made.hash}` in user_config pins it" in str(production.slot.swap_error)
    assert await production.change(str(put), hash=made.hash)
    assert await production.change(str(made.graph)), "its record says what it is"
    development = Replica(threads)
    caplog.clear()
    assert await development.change(str(put))
    assert "says what by-hand.onnx should be" in caplog.text


async def test_a_defect_is_for_the_log_alone(
    threads: ThreadPoolExecutor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    replica = Replica(threads)
    await replica.change(FIRST)
    (tmp_path / "catalog.yaml").unlink()
    (tmp_path / "catalog.yaml").symlink_to(tmp_path / "catalog.yaml")
    assert not await replica.change(NEXT)
    assert str(tmp_path) not in str(replica.slot.swap_error)
    assert str(tmp_path) in caplog.text


async def test_the_first_artifact_that_cannot_be_served_is_an_error(threads: ThreadPoolExecutor) -> None:
    replica = Replica(threads)
    with pytest.raises(ConfigError, match="batch_kost"):
        await replica.change(FIRST, batch_kost=1)
    assert await replica.change(FIRST)


async def test_production_refuses_synthetic_weights(threads: ThreadPoolExecutor, tmp_path: Path) -> None:
    artifact = pull(Catalog.load().find(FIRST), allow_synthetic=False)
    model = onnx.load(str(artifact.graph))
    model.metadata_props.add(key="embedserve.weights", value="synthetic")
    labelled = tmp_path / "labelled.onnx"
    onnx.save(model, str(labelled))
    tokenizer_path(labelled).write_bytes(tokenizer_path(artifact.graph).read_bytes())
    with pytest.raises(ArtifactError, match="which the production profile refuses"):
        await Replica(threads, "production").change(str(labelled))
    development = Replica(threads)
    await development.change(str(labelled))
    assert development.slot.current.label.synthetic


async def test_the_old_artifact_is_given_up_when_its_last_batch_is_over(threads: ThreadPoolExecutor) -> None:
    replica = Replica(threads)
    await replica.change(FIRST)
    batch = replica.slot.current  # as a prepared call holds it
    old = weakref.ref(batch)
    await replica.change(NEXT)
    gc.collect()
    assert old() is not None
    del batch
    gc.collect()
    assert old() is None


async def test_a_mapped_artifact_says_into_whose_space(threads: ThreadPoolExecutor, tmp_path: Path) -> None:
    specs = [Catalog.load().find(FIRST), Catalog.load().find(NEXT)]
    new, old = (pull(spec, allow_synthetic=False) for spec in specs)
    mapping = SpaceMap(np.eye(8, dtype=np.float32)[::-1].copy(), np.zeros(8, np.float32))
    entry = adapted_entry(new, old, "tiny@1.0.0-in-1.1.0", mapping, "procrustes")
    entry.write_map()
    add_entry(tmp_path / "catalog.yaml", entry.spec)
    replica = Replica(threads)
    assert await replica.change(FIRST)
    assert replica.slot.current.label.adapted is None
    assert await replica.change("tiny@1.0.0-in-1.1.0")
    assert replica.slot.current.label.adapted == (NEXT, old.hash)
