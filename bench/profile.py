"""Where each microsecond of a one-text request goes: processor time by process, and by function with py-spy."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench.loads import wrk
from bench.loads.bodies import TextBody
from bench.loads.texts import Texts
from bench.report.folder import result_path
from bench.report.tables import number, table
from bench.systems import ours
from bench.systems.processes import name_of
from bench.systems.server import Server

RATE = 250  # samples per second and thread
SECONDS = 10
CLIENTS = 32
FIRST = 9 * 10**11
TOP = 18
# Waits in native code that py-spy counts as work. `Thread.run` is not among them: it is the event loop's own C code.
WAITING = ("Worker.main_loop (", "_worker (concurrent/")
WATCHED = ("Gateway", "TextEncoder")


@dataclass
class Profile:
    """Samples of one process, counted by the function that ran and by every function on the stack."""

    own: Counter[str] = field(default_factory=Counter)
    inclusive: Counter[str] = field(default_factory=Counter)
    total: int = 0

    def add(self, lines: Iterable[str]) -> Profile:
        """Read py-spy's raw format: ``frame;frame;frame count``."""
        for line in lines:
            stack, _, count = line.rpartition(" ")
            frames = [frame.rsplit(":", 1)[0] for frame in stack.split(";")]
            if not count.strip().isdigit() or any(frames[-1].startswith(waiting) for waiting in WAITING):
                continue
            self.total += int(count)
            self.own[frames[-1]] += int(count)
            for frame in set(frames):
                self.inclusive[frame] += int(count)
        return self


def run() -> int:
    """Profile the service under a closed loop of one-text requests and print what was found."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    specs = [spec for spec in ours.measured() if spec.type == "text"]
    texts = Texts.of(ours.text_tokenizer(), 13)
    server = ours.start(folder)
    parts = []
    try:
        for place, spec in enumerate(specs):
            body = TextBody("/v1/embeddings", spec.reference, texts, 1)
            server.wait(body.path, body.data(FIRST), body.content_type)
            found = _profile(server, body, folder, FIRST + (place + 1) * 10**8)
            parts.append(f"## {spec.reference} ({spec.precision})\n\n{found}")
    finally:
        server.stop()
    text = "\n\n".join(parts) + "\n"
    print(text)
    path = result_path("profile.md")
    path.write_text(text, encoding="utf-8")
    print(f"written: {path}", file=sys.stderr)
    return 0


def _profile(server: Server, body: TextBody, folder: Path, first: int) -> str:
    wrk.run(server.url, body, CLIENTS, 2, first)
    before = server.mark.cpu_seconds()
    sample = wrk.run(server.url, body, CLIENTS, SECONDS, first + 10**6)
    after = server.mark.cpu_seconds()
    spent = {process: seconds - before.get(process, 0) for process, seconds in after.items()}
    rows = [
        [process, number(100 * seconds / sample.seconds), number(seconds / sample.requests * 1e6)]
        for process, seconds in sorted(spent.items(), key=lambda pair: -pair[1])
        if seconds > 0.01
    ]
    rows.append(["wrk", number(100 * sample.generator_cpu), number(1e6 * sample.generator_cpu / sample.rate)])
    title = f"{CLIENTS} clients: {sample.rate:.0f} requests/s, p50 {sample.p50_ms:.1f} ms, p99 {sample.p99_ms:.1f} ms"
    processes = table(["process", "CPU %", "µs per request"], rows)
    return "\n\n".join([title, processes, *_functions(server, body, folder, first + 2 * 10**6)])


def _functions(server: Server, body: TextBody, folder: Path, first: int) -> list[str]:
    version = body.model.partition("@")[2].replace(".", "-")
    pids = {name_of(pid): pid for pid in server.mark.pids()}
    watched = {n: pid for n, pid in pids.items() if n.endswith("Gateway") or (version in n and n.endswith(WATCHED))}
    recorders = {}
    files = {name: folder / f"{name.replace(':', '-')}.txt" for name in watched}
    loader = threading.Thread(target=wrk.run, args=(server.url, body, CLIENTS, SECONDS + 2, first))
    loader.start()
    for name, pid in watched.items():
        command = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid), "--format", "raw"]
        command += ["--rate", str(RATE), "--duration", str(SECONDS), "--nonblocking", "--output", str(files[name])]
        recorders[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for recorder in recorders.values():
        recorder.wait()
    loader.join()
    return [_section(name, Profile().add(_lines(files[name]))) for name in watched]


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.is_file() else []


def _section(name: str, profile: Profile) -> str:
    if not profile.total:
        return f"{name}: py-spy gave no samples (it needs the right to trace, CAP_SYS_PTRACE)"
    share = 100 / profile.total
    own = [[f, number(n * share, 1)] for f, n in profile.own.most_common(TOP)]
    ours = [(f, n) for f, n in profile.inclusive.most_common() if "deployments/" in f or "models/" in f]
    inclusive = [[f, number(n * share, 1)] for f, n in ours[:TOP]]
    return "\n\n".join(
        [
            f"{name}: active on {profile.total / RATE / SECONDS:.2f} threads",
            table(["function, itself", "% of samples"], own),
            table(["our function, with what it calls", "% of samples"], inclusive),
        ]
    )
