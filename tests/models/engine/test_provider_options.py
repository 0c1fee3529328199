from __future__ import annotations

from pathlib import Path

import pytest

from models.engine.buckets import image_buckets, text_buckets
from models.engine.provider_options import Device, engine_folder, with_options
from models.engine.providers import CPU, CUDA, TENSORRT
from models.engine.shapes import profiles

KEY = {"artifact": "a" * 64, "device": "NVIDIA H100 sm9.0", "versions": "onnxruntime 1.31.1, tensorrt 10.13"}


@pytest.mark.parametrize("part", KEY)
def test_the_engine_cache_lies_elsewhere_for_another(part: str) -> None:
    root = Path("/cache")
    assert engine_folder(root, **KEY) == engine_folder(root, **KEY)
    assert engine_folder(root, **{**KEY, part: KEY[part] + "x"}) != engine_folder(root, **KEY)
    assert engine_folder(root, **KEY).parent == root


def test_parts_of_the_key_do_not_run_into_each_other() -> None:
    moved = {**KEY, "device": KEY["device"] + "\nx", "versions": KEY["versions"]}
    other = {**KEY, "versions": "x\n" + KEY["versions"]}
    assert engine_folder(Path("/c"), **moved) != engine_folder(Path("/c"), **other)


def test_cuda_grows_by_what_is_asked_within_its_limit() -> None:
    (name, options), (last, none) = with_options((CUDA, CPU), Device(memory_limit=1 << 30), fp16=False)
    assert (name, last, none) == (CUDA, CPU, {})
    assert options["gpu_mem_limit"] == str(1 << 30)
    assert options["arena_extend_strategy"] == "kSameAsRequested"
    assert options["enable_cuda_graph"] == "0"
    assert all(isinstance(value, str) for value in options.values())


def test_without_a_known_card_there_is_no_limit() -> None:
    assert "gpu_mem_limit" not in dict(with_options((CUDA, CPU), Device(), fp16=False))[CUDA]


@pytest.mark.parametrize("fp16", [True, False], ids=["an fp16 graph", "an fp32 graph"])
def test_tensorrt_computes_in_the_precision_of(fp16: bool) -> None:
    options = dict(with_options((TENSORRT, CUDA, CPU), Device(engines=Path("/e")), fp16=fp16))[TENSORRT]
    assert options["trt_fp16_enable"] == str(int(fp16))
    assert options["trt_engine_cache_path"] == "/e"


def test_cuda_graphs_are_off_unless_asked_for() -> None:
    for asked in (False, True):
        chain = dict(with_options((TENSORRT, CUDA, CPU), Device(cuda_graph=asked), fp16=True))
        assert chain[CUDA]["enable_cuda_graph"] == chain[TENSORRT]["trt_cuda_graph_enable"] == str(int(asked))


def test_tensorrt_hears_the_range_of_pictures() -> None:
    ((least, usual, most),) = profiles({"pixels": [None, 224, 224, 3]}, image_buckets(64))
    assert (least, usual, most) == ("pixels:1x224x224x3", "pixels:64x224x224x3", "pixels:64x224x224x3")


def test_tensorrt_hears_the_range_of_texts() -> None:
    shapes = {"input_ids": [None, None], "attention_mask": [None, None]}
    found = profiles(shapes, text_buckets(256, 4096))
    assert found[0] == ("input_ids:1x1", "input_ids:16x256", "input_ids:512x256")
    assert len(found) == 2
