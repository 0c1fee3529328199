"""A backfill with one of the model's prompts before each text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deployments.backfill.audit import audit
from deployments.backfill.job import Job
from models.catalog.catalog import Catalog
from models.catalog.custom import described
from models.catalog.entries import add_entry
from models.catalog.paths import ROOT
from models.catalog.store import pull
from models.embedder import open_embedder
from models.errors import JobError
from models.inputs.prompted import Prompted
from tests.data import tiny
from tests.deployments.backfill.conftest import job, rows_in, run, write_rows

PROMPTS = {"query": "hello ", "document": "world unseen "}
MODEL = "prompted@1"
TEXTS = ("unseen", "hello world", "world")


@pytest.fixture
def prompted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job of three rows by a model that has two prompts."""
    catalogue = tmp_path / "catalog.yaml"
    catalogue.write_bytes((ROOT / "models" / "catalog.yaml").read_bytes())
    monkeypatch.setenv("EMBEDSERVE_CATALOG", str(catalogue))
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))
    spec = described(MODEL, tiny.write(tmp_path / "tiny").folder).spec
    add_entry(catalogue, spec.model_copy(update={"config": {**spec.config, "prompts": PROMPTS}}))
    return job(write_rows(tmp_path / "a.parquet", list(TEXTS)), tmp_path / "sink", model=MODEL)


def asking_for(wanted: Job, prompt: str, **rules: object) -> Job:
    return replace(
        wanted,
        rows=replace(wanted.rows, prompt=prompt),
        rules=replace(wanted.rules, **rules),  # type: ignore[arg-type]
    )


def stored(wanted: Job) -> np.ndarray:
    return np.stack(rows_in(Path(wanted.vectors.sink)).column("vector").to_numpy())


def test_a_prompt_stands_before_each_text_and_audits_find_what_was_embedded(prompted: Job) -> None:
    run(asking_for(prompted, "document"))
    embedder = open_embedder(pull(Catalog.load().find(MODEL), allow_synthetic=False))
    right = np.concatenate([embedder.embed_items([Prompted("document", text)]) for text in TEXTS])
    np.testing.assert_array_equal(stored(prompted), right)
    assert not np.array_equal(right, np.concatenate([embedder.embed_items([text]) for text in TEXTS]))
    sink = prompted.vectors.sink
    assert audit(sink, asking_for(prompted, "document").rows, 10).verdicts["exact"] == 3
    assert {one["verdict"] for one in audit(sink, prompted.rows, 10).findings} == {"input changed since"}


def test_another_prompt_into_the_same_sink_is_refused_and_embeds_again_where_it_is_wanted(prompted: Job) -> None:
    run(asking_for(prompted, "document"))
    before = stored(prompted)
    with pytest.raises(JobError, match="--prompt was 'document' and is 'query'"):
        run(asking_for(prompted, "query"))
    run(asking_for(prompted, "query", only_changed=True))
    assert rows_in(Path(prompted.vectors.sink)).num_rows == 3
    assert not (stored(prompted) == before).all(axis=1).any()


@pytest.mark.parametrize("prompt", ["passage", "Query"])
def test_a_prompt_that_the_model_does_not_have_is_refused_before_the_first_row(prompted: Job, prompt: str) -> None:
    with pytest.raises(JobError, match=f"no prompt '{prompt}'; there are: query, document"):
        run(asking_for(prompted, prompt))
    assert list(Path(prompted.vectors.sink).rglob("*.parquet")) == []
