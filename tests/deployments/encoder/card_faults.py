"""A card that fails in a chosen way, at the seams where a real one would: ONNX Runtime's session, the loader of libraries, `nvidia-smi`.

On a machine without a card the CPU computes what the session says a card does; everything else is ours, from the options of
a replica to what clients read.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime as ort
import pytest

from models.engine import card_engine, cards, pinned, session
from models.engine.providers import CPU, CUDA, TENSORRT

SESSION = ort.InferenceSession
LOAD = ctypes.CDLL
SMI = "#!/bin/sh\necho '81559, 9.0, NVIDIA H100'\n"
OURS = ("libcu", "libnv")


@dataclass
class Fault:
    """What is wrong; by default nothing is, and a card computes."""

    available: Sequence[str] = (TENSORRT, CUDA, CPU)  # in this build
    raised: str | None = None  # by the creation of a session with a card
    left_out: Sequence[str] = ()  # providers that a session silently does not get
    on_cpu: Sequence[str] = ()  # operators that a session with a card leaves to the CPU
    run: str | None = None  # raised by each run on the card
    gone: Sequence[str] = ()  # libraries that do not load
    driver: int = 13_000  # the CUDA that it runs
    init: int = 0  # what cuInit returns
    smi: str | None = SMI  # the program; None: there is none
    pins: int | None = 0  # what cudaHostRegister returns; None: there is no runtime
    sessions: list[Any] = field(default_factory=list)  # that were made

    def inject(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        """Put it in force."""
        monkeypatch.setattr(ort, "get_available_providers", lambda: list(self.available))
        monkeypatch.setattr(ort, "InferenceSession", self._session())
        monkeypatch.setattr(ctypes, "CDLL", self._load)
        # An error that pytest keeps holds the session of the test before, which equal options would share.
        monkeypatch.setattr(session, "_SESSIONS", weakref.WeakValueDictionary())
        # The CPU's memory stands in for the card's.
        monkeypatch.setattr(card_engine, "DEVICES", {CPU: "cpu", CUDA: "cpu", TENSORRT: "cpu"})
        monkeypatch.setattr(pinned, "_runtime", self._runtime)
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setattr(cards, "GOOGLES", str(folder / "none"))
        monkeypatch.setattr(cards, "WAIT_S", 0.3)
        if self.smi is not None:
            (folder / cards.PROGRAM).write_text(self.smi)
            (folder / cards.PROGRAM).chmod(0o755)

    def _session(self) -> type:
        fault = self

        class Session(SESSION):  # type: ignore[misc, valid-type]
            def __init__(self, path: str, settings: Any = None, providers: Sequence[Any] = (), **more: Any) -> None:
                names = [one[0] if isinstance(one, tuple) else one for one in providers]
                if fault.raised is not None and names[0] != CPU:
                    raise RuntimeError(fault.raised)
                self._claimed = [name for name in names if name not in fault.left_out]
                super().__init__(path, settings, providers=[CPU], **more)
                fault.sessions.append(self)

            def get_providers(self) -> list[str]:
                return self._claimed

            def get_provider_graph_assignment_info(self) -> list[Any]:
                nodes = [node for part in super().get_provider_graph_assignment_info() for node in part.get_nodes()]
                places = [(CPU if node.op_type in fault.on_cpu else self._claimed[0], [node]) for node in nodes]
                return [SimpleNamespace(ep_name=name, get_nodes=lambda found=found: found) for name, found in places]

            def run_with_iobinding(self, *arguments: Any) -> None:
                if fault.run is not None and self._claimed[0] != CPU:
                    raise RuntimeError(fault.run)
                super().run_with_iobinding(*arguments)

        return Session

    def _load(self, name: Any, *arguments: Any, **more: Any) -> Any:
        if name in self.gone:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        if isinstance(name, str) and name.startswith(OURS):
            return SimpleNamespace(cuDriverGetVersion=self._version, cuInit=lambda _: self.init)
        return LOAD(name, *arguments, **more)

    def _version(self, place: Any) -> int:
        place._obj.value = self.driver
        return 0

    def _runtime(self) -> Any:
        if self.pins is None:
            return None
        nothing: Callable[..., int] = lambda *_: 0  # noqa: E731
        return SimpleNamespace(
            cudaHostRegister=lambda *_: self.pins, cudaHostUnregister=nothing, cudaGetLastError=nothing
        )
