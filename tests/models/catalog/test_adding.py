"""What `models add` finds out before a model is in the catalogue, and what it leaves behind when it is not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from models.catalog.catalog import Catalog
from models.catalog.custom import described
from models.catalog.entries import add_entry
from models.catalog.folder import Wishes
from models.catalog.model_spec import ModelSpec
from models.catalog.store import pull
from models.catalog.undo import LOCK, nothing_left
from models.embedder import open_embedder
from models.errors import ArtifactError
from models.modalities.text import TextEmbedder
from tests.data.tiny import TinyModel
from tests.data.zoo.text_mutations import rich
from tests.data.zoo.texts import HIDDEN, case, dense, modules, numbers, tokenizer, vocabulary
from tests.models.catalog.test_custom import ROOT, Bench, bench  # noqa: F401 - a fixture
from tests.models.catalog.zoo import Zoo

BROKEN: dict[str, bytes | None] = {
    "empty": b"",
    "cut off": b'{"a": [1, ',
    "an empty object": b"{}",
    "an empty list": b"[]",
    "null": b"null",
    "a number": b"17",
    "a list of nothing": b"[null, 1, []]",
    "no text": b"\xff\xfe\x00",
    "nested too deep": b"[" * 200_000,
    "a huge number": b'{"max_seq_length": 1e999, "model_max_length": NaN}',
    "a folder": None,
}


@pytest.mark.parametrize("broken", BROKEN, ids=BROKEN)
def test_a_broken_file_is_refused_by_name_or_changes_nothing(zoo: Zoo, broken: str) -> None:
    base = rich("base", new=False)
    whole = zoo.vectors(base)
    assert not isinstance(whole, str), whole
    for index, name in enumerate(sorted([*base.files, "model.safetensors", "2_Dense/model.safetensors"])):
        folder = base.write(zoo.folder / f"{broken} {index}")
        (folder / name).unlink()
        content = BROKEN[broken]
        (folder / name).mkdir() if content is None else (folder / name).write_bytes(content)
        reason = refusal(folder, f"b{index}@1")
        if reason is None:  # without it, the others say as much as the library needs
            assert name in OPTIONAL, name
        else:
            assert "Traceback" not in reason


OPTIONAL = {
    "special_tokens_map.json",
    "tokenizer_config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
}


def refusal(folder: Path, reference: str) -> str | None:
    """Why a folder is refused; None where it is taken."""
    try:
        pull(described(reference, folder).spec, allow_synthetic=False)
    except ArtifactError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", ["yes", "no", "null", "1234", "1e3", "0x1f", "2024-01-01", "on", "true"])
def test_a_name_that_yaml_would_read_as_something_else_is_quoted(tmp_path: Path, tiny: TinyModel, name: str) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_bytes((ROOT / "models" / "catalog.yaml").read_bytes())
    spec = described(f"{name}@1", tiny.folder).spec
    prompts = {name: name, "query": "yes: no"}
    add_entry(path, spec.model_copy(update={"config": {**spec.config, "prompts": prompts, "default_prompt": name}}))
    found = Catalog.load(path).find(f"{name}@1")
    assert found.config["prompts"] == prompts
    assert name in yaml.safe_load(path.read_text())["models"]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda s: s.name)
def test_an_interrupted_add_leaves_nothing_and_the_next_one_works(zoo: Zoo, ending: signal.Signals) -> None:
    folder = case("any").write(zoo.folder / "folder")
    spec = described("mine@1", folder).spec
    other = pull(described("other@1", folder).spec, allow_synthetic=False)
    store = zoo.folder.parent / "store"
    before = sorted(store.rglob("*"))
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        add_and_end(spec, ending)
    assert sorted(set(store.rglob("*")) - {store / LOCK}) == before
    assert other.graph.is_file()
    with nothing_left(spec):
        pull(spec, allow_synthetic=False)
    assert spec.graph.is_file()


def add_and_end(spec: ModelSpec, ending: signal.Signals) -> None:
    with nothing_left(spec):
        pull(spec, allow_synthetic=False)
        os.kill(os.getpid(), ending)
        signal.pause()


def finished(folder: Path, change: Callable[[dict[str, object]], None] | None = None) -> Path:
    """A folder with a finished graph that looks words and positions up, and adds them."""
    case("any").write(folder)
    (folder / "model.safetensors").unlink()
    settings: dict[str, object] = {"rows": 40, "batch": "n", "length": "t", "opset": 17, "ir": 8, "quantised": False}
    if change is not None:
        change(settings)
    words = numbers("words", len(vocabulary()), HIDDEN)
    nodes = [helper.make_node("Gather", ["words", "input_ids"], ["x"])]
    weights = [
        numpy_helper.from_array(words, "words"),
        numpy_helper.from_array(numbers("positions", int(str(settings["rows"])), HIDDEN), "rows"),
        *(numpy_helper.from_array(np.array(v, np.int64), n) for n, v in (("one", 1), ("axis", 1))),
    ]
    nodes += [
        helper.make_node("CumSum", ["attention_mask", "axis"], ["counts"]),
        helper.make_node("Sub", ["counts", "one"], ["places"]),
        helper.make_node("Gather", ["rows", "places"], ["y"]),
        helper.make_node("Add", ["x", "y"], ["sum"]),
    ]
    if settings["quantised"]:
        nodes.append(helper.make_node("DynamicQuantizeLinear", ["sum"], ["q", "scale", "zero"]))
        nodes.append(helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["last_hidden_state"]))
    else:
        nodes.append(helper.make_node("Identity", ["sum"], ["last_hidden_state"]))
    shape = [settings["batch"], settings["length"]]
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, shape) for n in ("input_ids", "attention_mask")]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*shape, HIDDEN])
    graph = helper.make_graph(nodes, "theirs", inputs, [output], weights)
    opset = helper.make_opsetid("", int(str(settings["opset"])))
    model = helper.make_model(graph, opset_imports=[opset], ir_version=int(str(settings["ir"])))
    (folder / "onnx").mkdir()
    onnx.save(model, str(folder / "onnx" / "model.onnx"))
    return folder


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"batch": 1}, "export it with dynamic axes"),
        ({"length": 32}, "export it with dynamic axes"),
        ({"rows": 21}, "say --max-length 21"),
        ({"opset": 99}, "does not load in ONNX Runtime"),
        ({"ir": 99}, "does not load in ONNX Runtime"),
    ],
    ids=[
        "one text at a time",
        "one length only",
        "too few positions",
        "an opset of the future",
        "a format of the future",
    ],
)
def test_a_graph_that_cannot_be_served_is_found_out_before_it_is_added(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    folder = finished(tmp_path / "folder", lambda settings: settings.update(change))
    for origin in (folder, folder / "onnx" / "model.onnx"):
        with pytest.raises(ArtifactError, match=says):
            described("mine@1", origin)


def test_a_graph_with_fewer_positions_is_served_with_the_length_that_it_has(zoo: Zoo) -> None:
    folder = finished(zoo.folder / "folder", lambda settings: settings.update(rows=21))
    spec = described("mine@1", folder, wishes=Wishes(max_length=21)).spec
    model = open_embedder(pull(spec, allow_synthetic=False))
    assert isinstance(model, TextEmbedder)
    assert model.embed(["token " * 100, "hello"]).shape == (2, HIDDEN)


def test_a_graph_whose_vectors_depend_on_company_is_taken_only_when_its_owner_says_so(
    bench: Bench,  # noqa: F811
) -> None:
    folder = finished(bench.folder / "folder", lambda settings: settings.update(quantised=True))
    before = sorted((bench.folder / "store").rglob("*"))
    refused = bench.run("add", "mine@1", "--from", str(folder))
    assert (refused.returncode, "alone and in company" in refused.stderr) == (1, True), refused.stderr
    left = {path for path in (bench.folder / "store").rglob("*") if path.is_file()}
    assert sorted(left - {bench.folder / "store" / LOCK}) == before
    bench.add("mine@1", folder, "--batch-dependent")
    assert Catalog.load(bench.folder / "catalog.yaml").find("mine@1").config["batch_dependent"] is True
    plain = finished(bench.folder / "plain")
    bench.add("plain@1", plain, "--batch-dependent")
    assert "batch_dependent" not in Catalog.load(bench.folder / "catalog.yaml").find("plain@1").config


def test_a_card_says_what_was_read_from_which_file_and_what_was_assumed(tmp_path: Path) -> None:
    folder = replace(
        case(
            "any",
            modules_json=modules("Transformer", "Pooling", "Dense"),
            tokenizer_json=tokenizer(),
            **{"2_Dense__config_json": dense(HIDDEN, 12)},
        ),
        dense={"2_Dense": (HIDDEN, 12, False)},
    ).write(tmp_path / "folder")
    facts = {fact.what: (fact.value, fact.source) for fact in described("mine@1", folder).facts}
    assert facts["pooling"] == ("mean", "1_Pooling/config.json")
    assert facts["dense layer 2_Dense"] == ("16 to 12, tanh", "2_Dense/config.json")
    assert facts["longest text"] == ("32 tokens", "sentence_bert_config.json")
    assert facts["vectors have length 1"][1].startswith("assumed")
