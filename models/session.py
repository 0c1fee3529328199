"""ONNX Runtime sessions: how they are made, and that equal ones are made once per process."""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnxruntime as ort

from models.errors import ArtifactError
from models.onnx_file import check, digest

Parallelism = Literal["auto", "operators", "inputs"]


@dataclass(frozen=True)
class EngineOptions:
    """How a graph runs."""

    threads: int = 0  # 0: one per core that this process may use
    spinning: bool = True  # while a run lasts, threads wait by spinning: 2.9 ms instead of 4.2 for one short text
    provider: str = "CPUExecutionProvider"
    # `operators`: the threads share each operator; `inputs`: each thread computes inputs of its own, which spares
    # small products the cost of waking a second thread. `auto` takes `inputs` for int8 text on CPU.
    parallelism: Parallelism = "auto"
    arena: bool = False  # keep freed activations for the next run: faster by little, and grows with varied shapes
    lazy: bool = False  # load at the first run instead of at once

    @property
    def thread_count(self) -> int:
        """The threads to run on."""
        return self.threads or len(os.sched_getaffinity(0))


_LOCK = threading.Lock()
_SESSIONS: weakref.WeakValueDictionary[tuple[str, EngineOptions, int], ort.InferenceSession]
_SESSIONS = weakref.WeakValueDictionary()


def shared_session(path: Path, options: EngineOptions, threads: int) -> ort.InferenceSession:
    """A session of a graph; equal bytes with equal options share one, and with it the weights in memory.

    It is freed with its last user.

    Raises:
        ArtifactError: the file is missing, reaches beyond its folder, needs operators of its own, or ONNX Runtime does
            not take it.
    """
    if not path.is_file():
        raise ArtifactError(f"model file {path} does not exist; `embedserve models pull` fetches it")
    check(path)
    key = (digest(path), options, threads)
    with _LOCK:
        session = _SESSIONS.get(key)
        if session is None:
            session = _SESSIONS[key] = _make(path, options, threads)
        return session


def _make(path: Path, options: EngineOptions, threads: int) -> ort.InferenceSession:
    if options.provider not in ort.get_available_providers():
        available = ", ".join(ort.get_available_providers())
        raise ArtifactError(f"this ONNX Runtime has no {options.provider}; it has: {available}")
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    settings.enable_cpu_mem_arena = options.arena
    settings.add_session_config_entry("session.intra_op.allow_spinning", "1" if options.spinning else "0")
    # Without this, threads go on spinning between runs and take the cores from the event loop.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return ort.InferenceSession(str(path), settings, providers=[options.provider])
    except Exception as error:  # the bindings raise a different type for each of ORT's status codes
        reason = str(error).split("\n")[0].replace(str(path), path.name)
        raise ArtifactError(f"{path.name} does not load in ONNX Runtime: {reason}") from error
