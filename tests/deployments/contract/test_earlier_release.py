"""What crosses Serve's own handle is pickled, also between releases that a rolling upgrade has side by side."""

from __future__ import annotations

import pickle

from deployments.contract.embedding import Label
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import Stages

LABEL = Label("m@1", "h", True, "cpu/fp32/avx512f/onnxruntime-1.32.0")
INFO = ModelInfo(LABEL, "m", "text", 4, "fp32", "CPU", mixed=True)


def test_labels_and_descriptions_are_pickled_whole() -> None:
    assert pickle.loads(pickle.dumps(LABEL)) == LABEL
    assert pickle.loads(pickle.dumps(INFO)) == INFO
    stages = Stages(cut=((3, 70), (5, 1)))
    assert pickle.loads(pickle.dumps(stages)) == stages


def test_what_an_earlier_release_does_not_say_takes_its_default() -> None:
    label, info = Label.__new__(Label), ModelInfo.__new__(ModelInfo)
    label.__setstate__(["m@1", "h", True])
    info.__setstate__([label, "m", "text", 4, "fp32", "CPU", None, None, None])
    assert label == Label("m@1", "h", True)
    assert label.identity == "h", "its vectors keep their keys in caches"
    assert info == ModelInfo(label, "m", "text", 4, "fp32", "CPU")
    stages = Stages.__new__(Stages)
    stages.__setstate__([1.0, 2.0, 3.0])
    assert stages == Stages(1.0, 2.0, 3.0)
    assert stages.cut is None, "whether anything was cut is not known"
