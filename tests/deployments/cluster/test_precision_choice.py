"""`precision: auto` takes bf16 where it is faster, and says which it took and why."""

from __future__ import annotations

import subprocess
from unittest.mock import patch

import pytest

from deployments.cluster.precision_choice import VARIABLE, Choice, bf16_of, choose, tried
from deployments.cluster.serve_file import ServeConfig
from models.catalog.catalog import Catalog
from models.catalog.paths import ROOT
from models.catalog.source_entry import Adapted, FileSource
from models.errors import ConfigError
from models.trial_record import record_of

FP32, BF16, INT8 = (f"text-embedding@{version}" for version in ("1.0.0", "1.3.0", "1.1.0"))


def chosen(
    artifact: str = FP32, *, refused: str | None = None, failed: str | None = None, **environment: str
) -> Choice:
    return choose(FP32, artifact, Catalog.load(), environment, lambda: refused, lambda *_: failed)


def test_bf16_is_taken_where_it_is_faster() -> None:
    choice = chosen()
    assert choice.artifact == BF16
    assert choice.line == f"{FP32}: bf16 ({BF16}), which this processor computes faster than fp32"
    image = "image-embedding@1.0.0"
    pictures = choose(image, image, Catalog.load(), {}, lambda: None, lambda *_: None)
    assert pictures.artifact == "image-embedding@1.3.0"


@pytest.mark.parametrize(
    ("choice", "why"),
    [
        (chosen(refused="this processor has no instructions for it"), "this processor has no instructions for it"),
        (chosen(failed="it was slow"), "bf16 was tried on this machine: it was slow"),
        (chosen(**{VARIABLE: "fp32"}), f"{VARIABLE} says so"),
    ],
    ids=["no instructions", "a trial that failed", "an operator who wants fp32"],
)
def test_fp32_stays_elsewhere(choice: Choice, why: str) -> None:
    assert choice == Choice(FP32, f"{FP32}: fp32; {why}")


def test_a_version_is_tried_in_a_process_of_its_own_and_once_if_it_passed() -> None:
    record = record_of(FP32, FP32)
    assert record
    record.unlink(missing_ok=True)
    assert tried(FP32, FP32) is None
    assert record.is_file()
    with patch.object(subprocess, "run", side_effect=AssertionError("it was tried again")):
        assert tried(FP32, FP32) is None
    assert "cosines of" in str(tried(INT8, FP32))
    refused = record_of(INT8, FP32)
    assert refused
    assert not refused.exists()
    assert tried("text-embedding@7.7.7", FP32) is not None


def test_an_artifact_that_is_no_fp32_one_is_what_the_operator_wants() -> None:
    assert chosen(INT8).artifact == INT8
    assert chosen("./a/graph.onnx").artifact == "./a/graph.onnx"


def test_another_precision_in_the_environment_is_refused() -> None:
    with pytest.raises(ConfigError, match=f"{VARIABLE} must be auto or fp32, not 'int8'"):
        chosen(**{VARIABLE: "int8"})


def test_the_shipped_configuration_is_resolved_before_it_is_deployed_and_in_development_alone() -> None:
    shipped = ServeConfig.load(ROOT / "serve_config.yaml")
    resolved, lines = shipped.with_precisions({VARIABLE: "fp32"})
    assert [line.split(":")[0] for line in lines] == [*shipped.artifacts()][:2], "what sleeps is what it is called"
    assert resolved.artifacts() == shipped.artifacts()
    assert "precision" not in str(resolved.document["applications"][1]["deployments"])
    production, lines = shipped.with_local(profile="production").with_precisions({VARIABLE: "auto"})
    assert (production.artifacts(), lines) == (shipped.artifacts(), [])


def test_no_precision_of_the_plain_model_stands_in_for_a_mapped_one() -> None:
    catalog = Catalog.load()
    plain = catalog.find(FP32)
    source = FileSource(folder="./models/store/maps", files={"map.safetensors": "0" * 64})
    mapped = plain.model_copy(update={"adapted": Adapted(to="old@1", hash="f" * 64, source=source)})
    assert bf16_of(plain, catalog) == catalog.find(BF16)
    assert bf16_of(mapped, catalog) is None
