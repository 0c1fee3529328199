"""Swaps, versions and traffic weights while clients call; not one request may fail or carry a wrong label."""

from __future__ import annotations

import copy
import fcntl
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from deployments.serve_internals.seams import SEAMS
from models.catalog.artifact import tokenizer_path
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import open_embedder
from models.modalities.text import TextEmbedder
from tests.integration.documents import Document, application, drop_text_tower, shipped, user_config
from tests.integration.service import Service, children
from tests.integration.traffic import Call, References, Traffic
from tests.integration.waiting import wait

FP32, INT8 = "text-embedding@1.0.0", "text-embedding@1.1.0"
TEXTS = ["hello world", "a red running shoe", "waterproof hiking boots " * 12, "日本語 🌍", "x"]


class Operator:
    """Changes the deployed configuration step by step, as `serve deploy` does."""

    def __init__(self, service: Service, document: Document) -> None:
        self.service = service
        self.api = service.api()
        self.document = document
        self.client = httpx2.Client(base_url=service.url, timeout=60, trust_env=False)

    def change(self, edit: Callable[[Document], None]) -> None:
        edit(self.document)
        self.service.deploy(self.document)

    def swap(self, artifact: str, **more: Any) -> None:
        def edit(document: Document) -> None:
            user_config(document, "text-embedding--1-0-0").clear()
            user_config(document, "text-embedding--1-0-0").update(artifact=artifact, **more)

        self.change(edit)

    def weights(self, **versions: float) -> None:
        named = {name.replace("v", "").replace("_", "."): weight for name, weight in versions.items()}

        def edit(document: Document) -> None:
            user_config(document)["models"]["text-embedding"]["versions"] = named

        self.change(edit)

    def entry(self, reference: str) -> dict[str, Any]:
        answer = self.client.get(f"/v1/models/{reference}")
        found: dict[str, Any] = answer.json()
        return found

    def replica_states(self) -> list[str]:
        """What Serve says of the replicas of the first text version."""
        application = self.api.details()["applications"]["text-embedding--1-0-0"]
        return [replica["state"] for replica in application["deployments"]["TextEncoder"]["replicas"]]

    def wait(self, what: str, holds: Callable[[], bool]) -> None:
        wait(lambda: f"{what}; {self.entry(FP32)}", holds)


@pytest.fixture(scope="module")
def hashes() -> dict[str, str]:
    return {name: pull(Catalog.load().find(name), allow_synthetic=True).hash for name in (FP32, INT8)}


@pytest.fixture(scope="module")
def references(jpeg: bytes) -> References:
    catalog = Catalog.load()
    found: References = {}
    for name in (FP32, INT8):
        embedder = open_embedder(pull(catalog.find(name), allow_synthetic=True))
        assert isinstance(embedder, TextEmbedder)
        found[embedder.artifact.hash] = {text: embedder.embed([text])[0] for text in TEXTS}
    image = open_embedder(pull(catalog.find("image-embedding@1.0.0"), allow_synthetic=True))
    found[image.artifact.hash] = {"picture": image.embed([jpeg])[0]}  # type: ignore[list-item]
    return found


@pytest.fixture(scope="module")
def operator(changing: Service) -> Operator:
    document = shipped()
    drop_text_tower(document)
    user_config(document)["cache"] = {"bytes": 0}  # so that every vector is computed
    if not SEAMS.on("connections"):  # Serve calls no replica that loads: a second one has to answer meanwhile
        deployment = application(document, "text-embedding--1-0-0")["deployments"][0]
        deployment["autoscaling_config"].update(min_replicas=2, max_replicas=2)
    changing.run(document)
    return Operator(changing, document)


@pytest.fixture(scope="module")
def traffic(operator: Operator, references: References, jpeg: bytes) -> Iterator[Traffic]:
    post = "/v1/embeddings"
    calls = [Call(text, {"url": post, "json": {"model": "text-embedding", "input": text}}) for text in TEXTS]
    picture = {"url": "/v1/embeddings/image", "content": jpeg, "headers": {"content-type": "image/jpeg"}}
    # Sixteen that rest between requests, as those of test_operator.py: without rest the swaps would wait for processors.
    with Traffic(str(operator.client.base_url), [*calls, Call("picture", picture)], references, pause=0.2) as running:
        running.wait_for(50)
        yield running
    assert running.failures == []


@pytest.fixture(autouse=True)
def nothing_failed(traffic: Traffic) -> Iterator[None]:
    yield
    assert traffic.failures == []


def served(operator: Operator, label: str) -> Callable[[], bool]:
    return lambda: operator.entry(FP32)["hash"] == label


@pytest.mark.parametrize("target", [INT8, FP32], ids=["from fp32 to int8", "back to fp32"])
def test_a_swap_changes_the_hash_and_fails_nothing(
    operator: Operator, traffic: Traffic, hashes: dict[str, str], target: str
) -> None:
    operator.swap(target)
    operator.wait("the swap", served(operator, hashes[target]))
    traffic.wait_for(30, label=hashes[target])


def test_requests_are_answered_all_the_while_a_new_artifact_loads(
    operator: Operator, traffic: Traffic, hashes: dict[str, str]
) -> None:
    """Whoever lacks a file waits for the store's lock to get it: that holds the load up for as long as the test likes."""
    name = Catalog.load().find(INT8).graph.name
    graph = Path(operator.service.environment["EMBEDSERVE_MODELS"], name)
    lock = os.open(graph.with_suffix(".lock"), os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    graph.rename(graph.with_suffix(".elsewhere"))
    try:
        operator.swap(INT8)
        operator.wait("the swap to begin", lambda: "UPDATING" in operator.replica_states())
        traffic.wait_for(50, label=hashes[FP32])
        assert "UPDATING" in operator.replica_states()
    finally:
        graph.with_suffix(".elsewhere").rename(graph)
        os.close(lock)
    operator.wait("the swap", served(operator, hashes[INT8]))
    operator.swap(FP32)
    operator.wait("the way back", served(operator, hashes[FP32]))


def broken_graph(folder: Path, kind: str) -> Path:
    """A graph with the text model's inputs that goes wrong in one way."""
    graph = folder / f"{kind}.onnx"
    width = 7 if kind == "dimensions" else 384
    value = np.full((1, width), np.nan if kind == "nan" else 1, np.float32)
    nodes = [
        helper.make_node("Shape", ["input_ids"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["n"]),
        helper.make_node("Concat", ["n", "width"], ["wanted"], axis=0),
        helper.make_node("Expand", ["value", "wanted"], ["embedding"]),
    ]
    if kind == "memory":
        nodes.append(helper.make_node("ConstantOfShape", ["huge"], ["everything"]))
        nodes.append(helper.make_node("ReduceSum", ["everything"], ["total"], keepdims=0))
        nodes[3] = helper.make_node("Expand", ["value", "wanted"], ["plain"])
        nodes.append(helper.make_node("Add", ["plain", "total"], ["embedding"]))
    if kind == "crash":
        nodes[3] = helper.make_node("Reshape", ["value", "five"], ["embedding"])
    constants = {
        "zero": np.array([0]),
        "width": np.array([width]),
        "value": value,
        "huge": np.array([1 << 44]),
        "five": np.array([5, 384]),
    }
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, ["n", "t"]) for n in ("input_ids", "attention_mask")]
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", width])
    model = helper.make_model(
        helper.make_graph(nodes, kind, inputs, [output], initializers),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, graph)
    if kind == "damaged":
        graph.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])
    tokenizer_path(graph).write_bytes(tokenizer_path(Catalog.load().find(FP32).graph).read_bytes())
    return graph


BAD_SWAPS = {
    "a missing file": ("missing", "does not exist"),
    "a damaged file": ("damaged", "does not load"),
    "a graph of other dimensions": ("dimensions", "7 dimensions"),
    "a graph that crashes": ("crash", "does not"),
    "a graph that needs too much memory": ("memory", "does not"),
    "a graph that gives no numbers": ("nan", "not finite"),
    "another hash than asked for": ("hash", "user_config asks for"),
    "a version that the catalogue lacks": ("version", "no version"),
    "a key that is unknown": ("key", "artefact"),
}


@pytest.mark.parametrize(("kind", "says"), BAD_SWAPS.values(), ids=BAD_SWAPS.keys())
def test_a_failed_swap_keeps_the_old_artifact_and_says_why(
    operator: Operator, traffic: Traffic, hashes: dict[str, str], tmp_path: Path, kind: str, says: str
) -> None:
    if kind == "hash":
        operator.swap(INT8, hash="0" * 64)
    elif kind == "version":
        operator.swap("text-embedding@9.9.9")
    elif kind == "key":
        operator.swap(FP32, artefact="typo")
    elif kind == "missing":
        operator.swap(str(tmp_path / "missing.onnx"))
    else:
        operator.swap(str(broken_graph(tmp_path, kind)))
    operator.wait("the reason", lambda: says in (operator.entry(FP32)["reason"] or ""))
    assert operator.entry(FP32)["state"] == "ready"
    assert operator.entry(FP32)["hash"] == hashes[FP32]
    traffic.wait_for(30, label=hashes[FP32])
    operator.swap(FP32)
    operator.wait("the recovery", lambda: operator.entry(FP32)["reason"] is None)


def test_a_version_is_added_takes_over_by_steps_and_is_removed(
    operator: Operator, traffic: Traffic, hashes: dict[str, str]
) -> None:
    def add(document: Document) -> None:
        new = copy.deepcopy(application(document, "text-embedding--1-0-0"))
        new.update(name="text-embedding--1-1-0", args={"model": INT8, "profile": "development"})
        new["deployments"][0]["user_config"] = {"artifact": INT8}
        document["applications"].append(new)

    operator.change(add)
    operator.weights(v1_0_0=100, v1_1_0=0)
    operator.wait("the new version", lambda: operator.entry(INT8).get("state") == "ready")
    for share in (10, 50, 100):
        operator.weights(v1_0_0=100 - share, v1_1_0=share)
        operator.wait("the share", lambda share=share: operator.entry(INT8)["share"] == share / 100)  # type: ignore[misc]
        traffic.wait_for(20, model=INT8)
    start = time.monotonic()
    traffic.wait_for(40)
    assert Counter(a[2] for a in traffic.since(start))[FP32] == 0
    operator.weights(v1_0_0=100, v1_1_0=0)
    operator.wait("the way back", lambda: operator.entry(FP32)["share"] == 1)
    traffic.wait_for(20, model=FP32)
    operator.weights(v1_0_0=100)
    operator.wait("the version to leave the list", lambda: "error" in operator.entry(INT8))
    operator.change(lambda d: d["applications"].remove(application(d, "text-embedding--1-1-0")))
    operator.wait("the application to go", lambda: "text-embedding--1-1-0" not in operator.api.states())
    traffic.wait_for(30, model=FP32)


def test_weights_wait_for_a_version_that_is_not_ready(operator: Operator, traffic: Traffic) -> None:
    operator.weights(v1_0_0=50, v7_7_7=50)
    operator.wait("the reason", lambda: "wait until 7.7.7" in (operator.entry(FP32)["reason"] or ""))
    assert operator.entry(FP32)["share"] == 1
    traffic.wait_for(40, model=FP32)
    operator.weights(v1_0_0=100)
    operator.wait("the reason to go", lambda: operator.entry(FP32)["reason"] is None)


def replica_process(service: Service) -> int:
    """The process of the text encoder's replica."""
    titles = children(service)
    return next(pid for pid, title in titles.items() if title.startswith("ray::ServeReplica:text-embedding--1-0-0"))


def replica_memory(service: Service) -> int:
    """Resident bytes of the text encoder's replica."""
    pages = (Path("/proc") / str(replica_process(service)) / "statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_twenty_swaps_in_a_row_give_their_memory_back(
    operator: Operator, traffic: Traffic, hashes: dict[str, str]
) -> None:
    sizes = []
    for _ in range(10):
        for target in (INT8, FP32):
            operator.swap(target)
            operator.wait("the swap", served(operator, hashes[target]))
        sizes.append(replica_memory(operator.service))
    # Memory goes back when the last batch of the old artifact is over, a moment after the new one answers. An artifact that
    # stayed each time would double it several times over; how much of freed memory stays resident is the kernel's choice.
    operator.wait(
        f"memory of {[size >> 20 for size in sizes]} MiB", lambda: replica_memory(operator.service) <= sizes[0] * 1.25
    )


def test_overlapping_changes_end_in_the_last_one(operator: Operator, traffic: Traffic, hashes: dict[str, str]) -> None:
    for target in (INT8, FP32, "text-embedding@9.9.9", FP32, INT8):
        operator.swap(target)
    operator.wait("the last swap", served(operator, hashes[INT8]))
    operator.swap(FP32)
    operator.wait("the way back", served(operator, hashes[FP32]))
    traffic.wait_for(30, label=hashes[FP32])


def test_swaps_and_refusals_are_counted_and_said_in_the_logs(operator: Operator, traffic: Traffic) -> None:
    def counted(result: str) -> float:
        text = operator.client.get("/metrics").text
        lines = [line for line in text.splitlines() if line.startswith("ray_embedserve_swaps_total{")]
        return sum(float(line.rpartition(" ")[2]) for line in lines if f'result="{result}"' in line)

    operator.wait("the refusals in the metrics", lambda: counted("refused") >= len(BAD_SWAPS))
    operator.wait("the swaps in the metrics", lambda: counted("success") >= 20)
    logs = logs_of(operator)
    for said in (
        "swap refused, the old artifact goes on serving",
        "does not exist",
        "serving text-embedding@1.0.0 with",
    ):
        assert said in logs


def logs_of(operator: Operator) -> str:
    """What the text encoder's replica has written into its own log file."""
    folder = Path("/proc") / str(replica_process(operator.service)) / "fd"
    files = {os.readlink(link) for link in folder.iterdir() if link.is_symlink()}
    return "".join(Path(file).read_text() for file in files if "/logs/serve/replica_text-embedding" in file)
