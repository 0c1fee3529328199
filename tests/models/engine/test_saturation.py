"""int8 vectors are those of the artifact on every processor, with instructions for 8-bit products and without."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys

import numpy as np
import onnxruntime as ort
import pytest

from models.engine import session as sessions
from models.engine.processor import processor_flags
from models.engine.saturation import EXACT, saturates
from models.engine.session import EngineOptions, shared_session
from tests.models.loading import artifact_of, embedder_of

TEXTS = ["hello world", "The weather is lovely today.", "He drove to the stadium."]
CHILD = """
import json, sys
from models.engine import session
if sys.argv[1] == "plain":
    session.saturates = lambda: False
from models.engine.saturation import saturates
from tests.models.loading import embedder_of
vectors = embedder_of("text-embedding@1.1.0").embed(json.load(sys.stdin))
print("RESULT", json.dumps({"saturates": saturates(), "vectors": vectors.tolist()}))
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="flags of x86")
def test_products_saturate_only_without_vnni() -> None:
    if processor_flags() & {"avx512_vnni", "avx_vnni", "amx_int8"}:
        assert not saturates()


@pytest.mark.parametrize(("version", "asks"), [("1.0.0", False), ("1.1.0", True)], ids=["fp32", "int8"])
def test_where_products_saturate_sessions_of_integers_ask_for_exact_ones(
    monkeypatch: pytest.MonkeyPatch, version: str, *, asks: bool
) -> None:
    monkeypatch.setattr(sessions, "saturates", lambda: True)
    options = EngineOptions(threads=1, spin_us=21)  # options that no other test has: a session of its own
    session = shared_session(artifact_of(f"text-embedding@{version}").graph, options, 1)
    assert (session.get_session_options().get_session_config_entry(EXACT) == "1") if asks else _silent(session)


def _silent(session: ort.InferenceSession) -> bool:
    with pytest.raises(Exception, match=EXACT):
        session.get_session_options().get_session_config_entry(EXACT)
    return True


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="emulates a processor of x86")
@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-x86_64 (Debian: apt-get install qemu-user)")
@pytest.mark.parametrize(("way", "least", "most"), [("exact", 0.99999, 1.0001), ("plain", 0.9, 0.9999)])
def test_a_processor_without_vnni_gives_the_same_vectors_because_it_is_asked_for_exact_products(
    way: str, least: float, most: float
) -> None:
    command = [str(shutil.which("qemu-x86_64")), "-cpu", "Haswell", sys.executable, "-c", CHILD, way]
    output = subprocess.run(
        command, input=json.dumps(TEXTS), capture_output=True, text=True, check=True, env=dict(os.environ), timeout=280
    ).stdout
    (line,) = [line for line in output.splitlines() if line.startswith("RESULT")]
    found = json.loads(line.removeprefix("RESULT"))
    assert found["saturates"], "an emulated Haswell has no VNNI"
    here = embedder_of("text-embedding@1.1.0").embed_items(TEXTS)
    cosines = (here.astype(np.float64) * np.array(found["vectors"])).sum(axis=1)
    print(f"cosines to this machine, {way} products: {cosines.round(6).tolist()}")
    assert (cosines >= least).all()
    assert (cosines <= most).all()
