"""Creates sessions; equal ones are created once per process."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import onnxruntime as ort

from models.engine import card_libraries
from models.engine.card_trouble import Trouble, read
from models.engine.cores import usable_cores
from models.engine.openvino_session import OpenVinoSession
from models.engine.placement import RECORD, placement, trouble_of
from models.engine.provider_options import Device, with_options
from models.engine.providers import CPU, Wish, choose, preload
from models.engine.saturation import EXACT, saturates
from models.errors import ArtifactError
from models.graph.onnx_file import check, contents, digest
from models.graph.precision import PRECISIONS
from models.graph.properties import properties_of

Parallelism = Literal["auto", "operators", "inputs"]
Session: TypeAlias = ort.InferenceSession | OpenVinoSession


@dataclass(frozen=True)
class EngineOptions:
    """How a graph runs."""

    threads: int = 0  # 0: one for each core that this process may use, by its container's quota too
    # How long the threads of a run wait for each other awake before they sleep, in microseconds; 0: not at all. One run at
    # a time is nearly as fast with 20 as with ORT's default of about a million turns (a picture in int8: 14.2 ms and
    # 13.6 ms; with 0: 17.9 ms). Two runs at a time are as fast with 20 as with 0 (pictures in int8: 125/s and 125/s, with
    # ORT's default 98/s; texts in fp32: 793/s and 818/s, with the default 658/s).
    spin_us: int = 20
    provider: Wish = "cpu"  # what to ask for; `Engine.provider` is what ONNX Runtime gave
    gpus: float | None = None  # how many Ray assigned to this process; None outside of Ray
    device: Device = field(default_factory=Device)
    # The largest run in fixed shapes, in the modality's unit (padded tokens, or pictures). None: as large as is useful.
    largest_run: int | None = None
    bucketed: bool | None = None  # run in fixed shapes with bound buffers; None: only on a card
    # `operators`: the threads share each operator. `inputs`: each thread computes inputs of its own, so that small
    # products need not wake a second thread. `auto` takes `inputs` for int8 text on a CPU.
    parallelism: Parallelism = "auto"
    # Create a second session, with one thread less, for runs that begin while another is under way: two runs in one session
    # wait for each other's threads in every operator. The weights are in memory twice. Where it has one thread, batches that are alone
    # are divided among runs in it.
    spare: bool = False
    arena: bool = (
        False  # keep freed activations for the next run: slightly faster, but memory grows with each new shape
    )
    lazy: bool = False  # load at the first run instead of at once
    # What was noticed of the card while these options were chosen; sessions are shared whatever it says.
    noticed: tuple[Trouble, ...] = field(default=(), compare=False)

    @property
    def thread_count(self) -> int:
        """The number of threads to run on."""
        return self.threads or usable_cores()

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers to ask ONNX Runtime for, best first."""
        return choose(self.provider, ort.get_available_providers(), gpus=self.gpus)

    @property
    def on_openvino(self) -> bool:
        """Whether OpenVINO is asked for, which computes on the processor and in fixed shapes."""
        return self.provider == "openvino"

    @property
    def on_cpu(self) -> bool:
        """Whether only ONNX Runtime's own provider for the CPU is asked for."""
        return self.provider == "cpu" or self.providers[0] == CPU

    def settled(self) -> EngineOptions:
        """The same options; if only the CPU is available, they say ``cpu``, so that equal ways to run share one session."""
        if not self.on_cpu:
            return self
        settled = replace(self, provider="cpu", gpus=None, device=Device())
        return settled if self.bucketed else replace(settled, largest_run=None)


_LOCK = threading.Lock()
_SESSIONS: weakref.WeakValueDictionary[tuple[str, EngineOptions, int], Session]
_SESSIONS = weakref.WeakValueDictionary()
_TROUBLES: weakref.WeakKeyDictionary[Session, tuple[Trouble, ...]] = weakref.WeakKeyDictionary()


def troubles_of(session: Session) -> tuple[Trouble, ...]:
    """Why a session did not get the providers before its own; empty for one that got the first that was asked for."""
    return _TROUBLES.get(session, ())


def shared_session(path: Path, options: EngineOptions, threads: int) -> Session:
    """The session of a graph. Graphs with equal bytes and options share one, and so one copy of the weights.

    A session is freed when nobody uses it any more. One that captures launches is nobody else's: what a thread captured is
    replayed by that thread alone.

    Raises:
        ArtifactError: the file is missing, refers to files outside its folder, needs custom operators, or does not load
            in ONNX Runtime, or in OpenVINO where that is asked for.
    """
    if not path.is_file():
        raise ArtifactError(f"model file {path} does not exist; `embedserve models pull` fetches it")
    check(path)
    if options.device.cuda_graph and not options.on_cpu:
        return _make(path, options, threads)
    key = (digest(path), options, threads)
    with _LOCK:
        session = _SESSIONS.get(key)
        if session is None:
            make = _on_openvino if options.on_openvino else _make
            session = _SESSIONS[key] = make(path, options, threads)
        return session


def _make(path: Path, options: EngineOptions, threads: int) -> ort.InferenceSession:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    settings.enable_cpu_mem_arena = options.arena
    settings.add_session_config_entry("session.intra_op.allow_spinning", "1" if options.spin_us else "0")
    settings.add_session_config_entry("session.intra_op.spin_duration_us", str(options.spin_us))
    # Without this, threads also spin between runs and take processor time from the event loop.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    if contents(path).integers and saturates():
        settings.add_session_config_entry(EXACT, "1")
    providers = options.providers
    if providers[0] != CPU:
        settings.add_session_config_entry(RECORD, "1")
    preload(providers)
    try:
        return _first_that_loads(path, settings, providers, options.device)
    except ArtifactError:
        raise
    except Exception as error:  # the bindings raise a different type for each of ORT's status codes
        reason = str(error).split("\n")[0].replace(str(path), path.name)
        raise ArtifactError(f"{path.name} does not load in ONNX Runtime: {reason}") from error


def _on_openvino(path: Path, options: EngineOptions, _: int) -> OpenVinoSession:
    precision = PRECISIONS.get(properties_of(path).get("embedserve.precision", ""))
    return OpenVinoSession(path, bf16=precision is not None and precision.bf16, threads=options.thread_count)


def _first_that_loads(
    path: Path, settings: ort.SessionOptions, providers: tuple[str, ...], device: Device
) -> ort.InferenceSession:
    """Try the whole chain of providers, then without the first, and so on. The caller checks what the session got.

    ORT's own fallback is off: it would also change the provider in the middle of a run, and only print that.
    A session on a card that leaves products to the CPU counts as one that did not load.

    Raises:
        ArtifactError: the card has no memory for it. The CPU would answer, at a hundredth of the rate, on a node that everybody
            believes to have a card.
    """
    precision = PRECISIONS.get(properties_of(path).get("embedserve.precision", "")) if len(providers) > 1 else None
    fp16 = precision is not None and precision.half
    troubles: list[Trouble] = []
    for start, name in enumerate(providers):
        chain = with_options(providers[start:], device, fp16=fp16)
        try:
            session = ort.InferenceSession(str(path), settings, providers=chain, enable_fallback=0)
        except Exception as error:
            if name == CPU:
                raise
            trouble = read(str(error).replace(str(path), path.name), f"{name} does not load {path.name}")
            if trouble.cause == "out_of_memory":
                raise ArtifactError(str(trouble)) from error
            troubles.append(trouble)
            continue
        obtained = session.get_providers()[0]
        if obtained != name:
            troubles.append(card_libraries.missing(name, ort.get_available_providers()))
        off = None if CPU in (name, obtained) else trouble_of(placement(session))
        troubles += [off] if off else []
        if name == CPU or (obtained != CPU and off is None):
            _TROUBLES[session] = tuple(dict.fromkeys(troubles))
            return session
    raise AssertionError("the CPU ends every chain")
