"""Whatever keeps a card from computing is told, with its own cause: in the error of a start, or on every page that shows a version."""

from __future__ import annotations

import io
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deployments.cli.status_table import table
from deployments.config.base import Profile
from deployments.contract.model_info import ModelInfo
from deployments.encoder.artifact_slot import ArtifactSlot
from deployments.encoder.description import description
from deployments.encoder.device import options_here
from deployments.encoder.engine_pool import EnginePool
from deployments.rpc.codec import pack_reply, unpack_reply
from models.catalog.catalog import Catalog
from models.engine.providers import CPU, CUDA, TENSORRT, Wish
from models.errors import ArtifactError, EngineError
from tests.deployments.encoder import tiny_catalog
from tests.deployments.encoder.card_faults import Fault
from tests.deployments.encoder.tiny_catalog import FIRST as FP32
from tests.deployments.encoder.tiny_catalog import NEXT as FP16
from tests.deployments.http.service import application, serving
from tests.integration.browser import browsing, needs_chromium

ARENA = "BFCArena: Failed to allocate memory for requested buffer of size 1228800"
# The cause, the fault, what is asked for, and what must be read of it.
ELSEWHERE: dict[str, tuple[str, Fault, Wish, str]] = {
    "a build without CUDA": (
        "not_built",
        Fault(available=[CPU]),
        "cuda",
        "is built without CUDAExecutionProvider; install embedserve",
    ),
    "no driver": (
        "no_driver",
        Fault(left_out=[CUDA], gone=["libcuda.so.1"]),
        "cuda",
        "libcuda.so.1: cannot open shared object file",
    ),
    "a driver that is too old": (
        "driver_too_old",
        Fault(left_out=[CUDA], driver=12_040),
        "cuda",
        "the driver runs CUDA 12.4 and older",
    ),
    "a driver that is too old, as CUDA says it": (
        "driver_too_old",
        Fault(raised="CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1"),
        "cuda",
        "CUDA driver version is insufficient for CUDA runtime version",
    ),
    "no card for this process": (
        "no_card",
        Fault(left_out=[CUDA], init=100),
        "cuda",
        "shows this process no card (cuInit: 100)",
    ),
    "a library of CUDA that is missing": (
        "library",
        Fault(left_out=[CUDA], gone=["libcublasLt.so.13"]),
        "cuda",
        "libcublasLt.so.13 does not load",
    ),
    "cuDNN that is missing": (
        "library",
        Fault(left_out=[CUDA], gone=["libcudnn.so.9"]),
        "cuda",
        "libcudnn.so.9 does not load",
    ),
    "TensorRT that is missing": (
        "library",
        Fault(left_out=[TENSORRT], gone=["libnvinfer.so.10"]),
        "tensorrt",
        "libnvinfer.so.10 does not load",
    ),
    "a card that fell off the bus": (
        "card_failed",
        Fault(raised="CUDA failure 999: unknown error ; GPU=0"),
        "cuda",
        "CUDA failure 999",
    ),
    "a card without kernels": (
        "card_too_old",
        Fault(raised="CUDA failure 209: no kernel image is available for execution on the device"),
        "cuda",
        "no kernel image is available",
    ),
    "a product on the CPU": (
        "placement",
        Fault(on_cpu=["Attention"]),
        "cuda",
        "the CPU would compute products of this graph",
    ),
    "something new": (
        "unknown",
        Fault(raised="the moon is in the wrong house"),
        "cuda",
        "the moon is in the wrong house",
    ),
}
# It computes on the card all the same.
TOLD: dict[str, tuple[str, Fault, str]] = {
    "no nvidia-smi": ("nvidia_smi", Fault(smi=None), "nvidia-smi is not here"),
    "an nvidia-smi that hangs": (
        "nvidia_smi",
        Fault(smi="#!/bin/sh\nwhile :; do :; done\n"),
        "nvidia-smi did not answer within",
    ),
    "an nvidia-smi that fails": (
        "nvidia_smi",
        Fault(smi="#!/bin/sh\necho 'Failed to initialize NVML' >&2\nexit 9\n"),
        "Failed to initialize NVML",
    ),
    "memory that is not pinned": ("not_pinned", Fault(pins=2), "CUDA pins no host memory (cudaHostRegister: 2)"),
    "no runtime that pins": ("not_pinned", Fault(pins=None), "no CUDA runtime is in this process"),
}
# Nothing may answer in its place, in no profile.
NO_MEMORY = {
    "for the session": Fault(raised="CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);"),
    "for the first batch": Fault(run=f"[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : {ARENA}"),
}


@pytest.fixture(autouse=True)
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_catalog.use(tmp_path, monkeypatch)


def slot_of(threads: ThreadPoolExecutor, profile: Profile) -> ArtifactSlot:
    spec = Catalog.load().find(FP32)
    return ArtifactSlot(
        spec, profile, threads, lambda *_: None, lambda config, artifact: options_here(config, artifact, 1.0)
    )


def asked(provider: Wish) -> dict[str, Any]:
    return {"artifact": FP16, "provider": provider, "threads": 1, "batch_cost": 64}


def told(info: ModelInfo, folder: Path) -> tuple[dict[str, Any], str]:
    """A version as ``/v1/models`` has it after it travelled to a gateway, and as `embedserve status` prints it."""
    app = application(folder)
    travelled = unpack_reply(pack_reply(info))
    assert isinstance(travelled, ModelInfo)
    app.embeddings.registry.versions["m@1"].info = travelled
    with serving(app.app) as client:
        entry: dict[str, Any] = client.get("/v1/models/m@1").json()
    out = io.StringIO()
    Console(file=out, width=2000).print(table([entry]))
    return entry, " ".join(out.getvalue().split())  # it is folded to the width of the table


@pytest.mark.parametrize("profile", ["production", "development"])
@pytest.mark.parametrize(("cause", "fault", "wish", "text"), ELSEWHERE.values(), ids=ELSEWHERE)
async def test_a_card_that_does_not_compute_says_why(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    cause: str,
    fault: Fault,
    wish: Wish,
    text: str,
    profile: Profile,
) -> None:
    with ThreadPoolExecutor(1) as threads:
        slot = slot_of(threads, profile)
        fault.inject(monkeypatch, tmp_path)
        if profile == "production":
            with pytest.raises(ArtifactError) as refused:
                await slot.change(asked(wish))
            assert text in str(refused.value)
            return
        with caplog.at_level(logging.WARNING, "ray.serve.embedserve"):
            assert await slot.change(asked(wish))
    assert [trouble.cause for trouble in slot.current.notices] == [cause]
    assert text in caplog.text
    entry, printed = told(description(Catalog.load().find(FP32), slot, None), tmp_path)
    assert text in entry["warnings"][0]
    assert text in printed


@pytest.mark.parametrize("profile", ["production", "development"])
@pytest.mark.parametrize(("cause", "fault", "text"), TOLD.values(), ids=TOLD)
async def test_a_card_that_computes_less_well_than_it_could_says_so(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    cause: str,
    fault: Fault,
    text: str,
    profile: Profile,
) -> None:
    with ThreadPoolExecutor(1) as threads:
        slot = slot_of(threads, profile)
        fault.inject(monkeypatch, tmp_path)
        with caplog.at_level(logging.WARNING, "ray.serve.embedserve"):
            assert await slot.change(asked("cuda"))
    assert slot.current.embedder.engine.provider == CUDA
    assert [trouble.cause for trouble in slot.current.notices] == [cause]
    assert text in caplog.text
    entry, printed = told(description(Catalog.load().find(FP32), slot, None), tmp_path)
    assert text in entry["warnings"][0]
    assert text in printed


async def test_a_card_that_computes_as_it_should_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fault = Fault()
    with ThreadPoolExecutor(1) as threads:
        slot = slot_of(threads, "production")
        fault.inject(monkeypatch, tmp_path)
        assert await slot.change(asked("cuda"))
    assert slot.current.notices == ()
    assert slot.current.embedder.engine.provider == CUDA
    assert len(fault.sessions) == 1


@pytest.mark.parametrize("profile", ["production", "development"])
@pytest.mark.parametrize("wish", ["auto", "cuda"])
@pytest.mark.parametrize("fault", NO_MEMORY.values(), ids=NO_MEMORY)
async def test_a_card_without_memory_is_never_answered_for_by_the_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: Fault, wish: Wish, profile: Profile
) -> None:
    with ThreadPoolExecutor(1) as threads:
        slot = slot_of(threads, profile)
        assert await slot.change({"artifact": FP32, "provider": "cpu", "threads": 1})
        fault.inject(monkeypatch, tmp_path)
        assert not await slot.change(asked(wish))
        first = slot_of(threads, profile)
        with pytest.raises(ArtifactError, match="memory"):
            await first.change(asked(wish))
    assert slot.swap_error is not None
    assert "emory" in slot.swap_error
    assert "raise num_gpus, lower batch_cost" in slot.swap_error
    entry, _ = told(description(Catalog.load().find(FP32), slot, None), tmp_path)
    assert entry["swap_error"] == slot.swap_error
    assert (entry["reason_code"], entry["provider"]) == ("swap_refused", CPU)


SWAPS = {
    "captured before": (True, False, "cuda"),
    "captured after": (False, True, "cuda"),
    "captured both times": (True, True, "cuda"),
}


@pytest.mark.parametrize(("before", "after", "wish"), SWAPS.values(), ids=SWAPS)
async def test_no_artifact_is_swapped_beside_captured_launches_unless_somebody_insists(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: bool, after: bool, wish: Wish
) -> None:
    fault = Fault()
    with ThreadPoolExecutor(1) as threads:
        slot = slot_of(threads, "production")
        fault.inject(monkeypatch, tmp_path)
        assert await slot.change({**asked(wish), "cuda_graph": before})
        made = len(fault.sessions)
        new = {**asked(wish), "artifact": FP32, "cuda_graph": after}
        assert not await slot.change(new)
        assert len(fault.sessions) == made, "the other artifact was loaded"
        assert slot.swap_error is not None
        assert "is proved on no card" in slot.swap_error
        assert "cuda_graph_swaps: true" in slot.swap_error
        assert await slot.change({**new, "cuda_graph_swaps": True})


async def test_two_engines_that_capture_launches_never_share_a_session(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fault = Fault()
    fault.inject(monkeypatch, tmp_path)
    with ThreadPoolExecutor(1) as threads:
        slots = [slot_of(threads, "production") for _ in range(2)]
        for graphs, count in ((False, 1), (True, 3)):
            for slot in slots:
                assert await slot.change({**asked("cuda"), "cuda_graph": graphs, "cuda_graph_swaps": True})
            assert len(fault.sessions) == count
    first, second = (slot.current.embedder.engine.graph.session for slot in slots)
    assert first is not second


async def test_a_card_given_and_not_used_is_told_where_nobody_named_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(1) as threads:
        slot = slot_of(threads, "production")
        Fault(left_out=[TENSORRT, CUDA], gone=["libcudnn.so.9"]).inject(monkeypatch, tmp_path)
        assert await slot.change(asked("auto"))
    (trouble,) = slot.current.notices
    assert "num_gpus gives this replica a card and CPUExecutionProvider computes" in str(trouble)
    assert "libcudnn.so.9" in str(trouble)


async def test_what_a_card_fails_at_while_it_serves_is_told_until_another_artifact_serves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fault = Fault()
    with ThreadPoolExecutor(1) as threads:
        slot = slot_of(threads, "production")
        fault.inject(monkeypatch, tmp_path)
        assert await slot.change(asked("cuda"))
        pool = EnginePool(1)
        embedder = slot.current.embedder
        fault.run = ARENA
        with pytest.raises(EngineError, match="raise num_gpus, lower batch_cost"):
            await pool.attempt(embedder.embed_rows, [embedder.probe_row()])
    assert "the card failed" in caplog.text
    assert pool.trouble is not None
    entry, printed = told(description(Catalog.load().find(FP32), slot, pool.trouble), tmp_path)
    assert "Failed to allocate memory" in entry["warnings"][0]
    assert "Failed to allocate memory" in printed


@needs_chromium
def test_the_console_shows_each_cause(tmp_path: Path) -> None:
    app = application(tmp_path)
    version = app.embeddings.registry.versions["m@1"]
    assert version.info is not None
    warnings = tuple(text for *_, text in (*ELSEWHERE.values(), *TOLD.values()))
    version.info = ModelInfo(version.info.label, "m", "text", 4, "fp16", CPU, warnings=warnings)
    with serving(app.app) as client, browsing(f"{str(client.base_url).rstrip(chr(47))}/console") as tab:
        tab.page.wait_for_selector("#models .version .warning")
        shown = tab.text("#models")
    assert [text for text in warnings if text not in shown] == []
