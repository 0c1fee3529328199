"""What ONNX Runtime's GPU package would compute on a card, as it says itself, on a machine without one.

The package is installed into a folder of its own and finds CUDA's libraries emptied (``stub_driver``): it loads a graph, chooses
a kernel for every node, and runs none.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models.catalog.paths import ROOT
from models.engine.providers import CPU, CUDA
from models.graph.builder import save
from models.graph.card import for_cards
from models.graph.linear import Fp16Linear, Fp32Linear
from tests.data.tiny import write
from tests.gpu import stub_driver
from tests.models.graph.test_standard_graph import TOWERS
from tests.models.loading import artifact_of

PROVIDER = "onnxruntime/capi/libonnxruntime_providers_cuda.so"
SHAPES = {
    "Concat",
    "Shape",
    "Gather",
    "Slice",
    "Squeeze",
    "Unsqueeze",
    "Range",
}  # what may be left to the CPU: numbers of a shape
SHIPPED = ("text-embedding@1.2.0", "text-embedding@1.4.0")
# The numbers of shapes that find a text's end are the CPU's, and a session that captures launches leaves nothing to it.
NOT_CAPTURED = "CLIP's text tower"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the GPU package is for x86-64 here"),
    pytest.mark.skipif(
        not all(map(shutil.which, ("gcc", "nm", "readelf"))), reason="gcc and binutils make the emptied libraries"
    ),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The locked onnxruntime-gpu, alone."""
    folder = tmp_path_factory.mktemp("gpu")
    locked = re.search(r"^onnxruntime-gpu==(?:.*\\\n)*.*\n", (ROOT / "requirements/gpu.txt").read_text(), re.MULTILINE)
    assert locked, "requirements/gpu.txt locks no onnxruntime-gpu"
    wanted = folder / "requirements.txt"
    wanted.write_text(locked.group())
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        str(folder / "site"),
        "-r",
        str(wanted),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    if done.returncode:
        pytest.skip(f"onnxruntime-gpu cannot be had here: {done.stderr.strip()[-200:]}")
    return folder / "site"


@pytest.fixture(scope="module")
def chosen(package: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the package says of tiny towers in both precisions, plain and as the variant for cards, and of the shipped texts."""
    folder = tmp_path_factory.mktemp("graphs")
    stubs = folder / "stubs"
    stubs.mkdir()
    stub_driver.build(package / PROVIDER, stubs)
    tiny = write(folder / "tiny")
    paths = [artifact_of(reference).graph for reference in SHIPPED]
    for name, (build, _) in TOWERS.items():
        for linear in (Fp16Linear(), Fp32Linear()):
            for variant in ("plain", "card"):
                model = build(linear, tiny)
                paths.append(folder / f"{name}-{linear.precision}-{variant}.onnx")
                save(for_cards(model) if variant == "card" else model, paths[-1])
    environment = {**os.environ, "LD_LIBRARY_PATH": str(stubs), "PYTHONPATH": f"{package}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "tests.gpu.chosen_kernels", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert len(said["graphs"]) == 2 * len(paths) == 2 * (len(SHIPPED) + 12)
    return said


def test_the_package_is_the_locked_one(chosen: dict[str, Any]) -> None:
    assert f"onnxruntime-gpu=={chosen['version']} " in (ROOT / "requirements/gpu.txt").read_text()


def taken(chosen: dict[str, Any]) -> dict[str, Any]:
    """All but those that cannot be captured."""
    return {n: g for n, g in chosen["graphs"].items() if not (NOT_CAPTURED in n and n.endswith(" captured"))}


def test_clips_text_tower_cannot_be_captured_and_says_so(chosen: dict[str, Any]) -> None:
    refused = {name: graph for name, graph in chosen["graphs"].items() if name not in taken(chosen)}
    assert len(refused) == 4
    for graph in refused.values():
        assert graph["providers"][0] == CPU
        assert "cannot use the graph capture feature" in graph["troubles"][0]


def test_nothing_but_numbers_of_shapes_is_left_to_the_cpu(chosen: dict[str, Any]) -> None:
    for name, graph in taken(chosen).items():
        assert graph["providers"][0] == CUDA, (name, graph)
        assert graph["troubles"] == [], name
        left = {part.removeprefix(f"{CPU} ") for part in graph["placed"] if part.startswith(CPU)}
        assert left <= SHAPES, name


def test_every_fused_operator_of_the_variant_has_a_kernel_on_the_card(chosen: dict[str, Any]) -> None:
    cards = {name: graph["placed"] for name, graph in taken(chosen).items() if "-card." in name}
    assert len(cards) == 2 * 7 - 2
    for name, placed in cards.items():
        assert placed.get(f"{CUDA} Attention"), name
        assert placed.get(f"{CUDA} SkipLayerNormalization"), name
        assert placed.get(f"{CUDA} BiasGelu") or placed.get(f"{CUDA} QuickGelu"), name
        assert not {part for part in placed if part.endswith(" Split")}, name
