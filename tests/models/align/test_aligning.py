"""`embedserve models align` from one real model to another, and what it refuses."""

from __future__ import annotations

import ast
import json
import shutil
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from deployments.cli.main import app, main
from models.catalog.artifact import tokenizer_path
from models.catalog.catalog import Catalog
from models.catalog.custom import describe_folder
from models.catalog.entries import add_entry
from models.catalog.paths import ROOT
from models.catalog.record import is_synthetic
from models.catalog.store import pull
from models.embedder import open_embedder
from models.errors import EmbedserveError
from tests.data.tiny import write
from tests.models.loading import artifact_of

NEW, OLD, MAPPED = "text-embedding@2.0.0", "text-embedding@1.0.0", "text-embedding@2.0.0-in-1.0.0"
RANDOM = "clip-text-embedding@1.0.0"  # where no hub answers
LINES = 500


def docstrings(count: int) -> list[str]:
    """First paragraphs of docstrings of Python's own library."""
    found: dict[str, None] = {}
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and (said := ast.get_docstring(node)):
                line = " ".join(said.split("\n\n")[0].split())
                if 30 < len(line) < 300:
                    found[line] = None
        if len(found) >= count:
            break
    return list(found)[:count]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample.txt"
    path.write_text("\n".join(docstrings(LINES)), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped catalogue and a store of the test's own, in which both models are ready."""
    shutil.copyfile(ROOT / "models" / "catalog.yaml", tmp_path / "catalog.yaml")
    (tmp_path / "store").mkdir()
    for reference in (NEW, OLD, RANDOM):
        graph = artifact_of(reference).graph
        for path in (graph, tokenizer_path(graph), graph.with_suffix(".json")):
            (tmp_path / "store" / path.name).symlink_to(path)
    (tmp_path / "store" / "files").mkdir()
    for path in (artifact_of(NEW).graph.parent / "files").iterdir():
        if path.suffix in (".onnx", ".json"):
            (tmp_path / "store" / "files" / path.name).symlink_to(path)
    monkeypatch.setenv("EMBEDSERVE_CATALOG", str(tmp_path / "catalog.yaml"))
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "catalog.yaml"


def align(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["models", "align", *arguments])
    if isinstance(result.exception, EmbedserveError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def test_a_mapped_version_is_added_served_from_its_own_files_and_told_from_others(sample: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    said = align(NEW, "--to", OLD, "--sample", str(sample), "--report", str(report))
    assert MAPPED in said
    spec = Catalog.load().find(MAPPED)
    assert spec.adapted is not None
    assert (spec.adapted.to, spec.adapted.hash) == (OLD, artifact_of(OLD).hash)
    artifact = pull(spec, allow_synthetic=False)
    assert artifact.hash == spec.hash
    assert artifact.hash not in (artifact_of(NEW).hash, artifact_of(OLD).hash)
    figures = json.loads(report.read_text())
    by_name = {name: row["of_old"]["mean"] for name, row in figures["recall_at_10"].items()}
    assert by_name[figures["chosen"]] > max(0.4, by_name["no map"] + 0.15)
    texts = docstrings(LINES)[:50]
    mapped, old = (open_embedder(one).embed_items(texts) for one in (artifact, artifact_of(OLD)))
    assert np.einsum("nd,nd->n", mapped, old).mean() > 0.6
    with pytest.raises(EmbedserveError, match="is in the catalogue already"):
        align(NEW, "--to", OLD, "--sample", str(sample))
    with pytest.raises(EmbedserveError, match=f"is mapped into the space of {OLD} already"):
        align(MAPPED, "--to", NEW, "--as", "text-embedding@3", "--sample", str(sample))


@pytest.mark.slow
def test_a_store_that_lost_the_graph_makes_it_anew_of_the_map(sample: Path, tmp_path: Path) -> None:
    align(NEW, "--to", OLD, "--sample", str(sample), "--method", "procrustes")
    spec = Catalog.load().find(MAPPED)
    spec.graph.unlink()
    assert pull(spec, allow_synthetic=False).hash == spec.hash
    spec.graph.unlink()
    shutil.rmtree(tmp_path / "store" / "maps")
    for path in (tmp_path / "store" / "files").glob("*.safetensors"):
        path.unlink()
    with pytest.raises(EmbedserveError, match=f"the map into the space of {OLD}.*does not exist"):
        pull(spec, allow_synthetic=False)


@pytest.mark.slow
def test_below_the_floor_nothing_is_added_and_nothing_is_left(sample: Path, catalog: Path, tmp_path: Path) -> None:
    before, entries = left(tmp_path / "store"), catalog.read_bytes()
    with pytest.raises(EmbedserveError, match=rf"{MAPPED} is not added: .* does not reach 0\.95 \(--floor\)"):
        align(NEW, "--to", OLD, "--sample", str(sample), "--floor", "0.95")
    align(NEW, "--to", OLD, "--sample", str(sample), "--dry-run")
    assert (left(tmp_path / "store"), catalog.read_bytes()) == (before, entries)


def test_a_candidate_that_is_labelled_as_random_is_refused_at_once(sample: Path) -> None:
    if not is_synthetic(artifact_of(RANDOM)):
        pytest.skip("a hub answers: these weights are real")
    with pytest.raises(EmbedserveError, match=f"{RANDOM} has random weights"):
        align(RANDOM, "--to", OLD, "--as", "text-embedding@3", "--sample", str(sample))


def test_a_candidate_with_random_weights_and_no_label_does_not_reach_the_floor(
    sample: Path, catalog: Path, tmp_path: Path
) -> None:
    add_entry(catalog, describe_folder("random@1", write(tmp_path / "tiny").folder))
    pull(Catalog.load().find("random@1"), allow_synthetic=False)
    before, entries = left(tmp_path / "store"), catalog.read_bytes()
    with pytest.raises(EmbedserveError, match=r"text-embedding@random-1-in-1\.0\.0 is not added.*\(--floor\)"):
        align("random@1", "--to", OLD, "--sample", str(sample))
    assert (left(tmp_path / "store"), catalog.read_bytes()) == (before, entries)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((OLD, "--to", OLD, "--as", "text-embedding@3"), "are the same artifact"),
        (
            ("image-embedding@1.0.0", "--to", OLD, "--as", "text-embedding@3"),
            "must embed the same inputs",
        ),
        (("paraphrase-minilm-l3-v2@1.0.0", "--to", OLD), "say --as text-embedding@VERSION"),
        ((NEW, "--to", "text-embedding@7"), "no version '7'"),
        ((NEW, "--to", OLD, "--as", "Text@1"), "lower-case"),
    ],
    ids=["to itself", "pictures to texts", "a name that is too long", "an unknown version", "an impossible name"],
)
def test_what_cannot_be_mapped_is_refused_before_anything_is_computed(
    arguments: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    few = tmp_path / "few.txt"
    few.write_text("one\ntwo\n")
    with pytest.raises(EmbedserveError, match=reason):
        align(*arguments, "--sample", str(few))


def test_a_sample_of_a_few_lines_is_refused_on_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tmp_path / "few.txt"
    few.write_text("one\ntwo\ntwo\n")
    monkeypatch.setattr("sys.argv", ["embedserve", "models", "align", NEW, "--to", OLD, "--sample", str(few)])
    with pytest.raises(SystemExit):
        main()
    assert "the sample has 2 different inputs" in " ".join(capsys.readouterr().err.split())
