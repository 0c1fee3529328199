"""The open loop: requests leave at a constant rate whatever the answers do; latency counts from the intended start.

The generator is a process of its own (``python -m bench.loads.open_loop``, which reads an ``OpenLoad`` as JSON), so that
its processor time can be told from the caller's.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.loads.bodies import TextBody
from bench.loads.connection import Connection, request_bytes
from bench.loads.texts import Texts
from bench.report.stats import percentile

try:
    import uvloop
except ImportError:  # asyncio's own loop takes twice the processor time
    uvloop = None  # type: ignore[assignment]

CONNECTIONS = (
    16384  # more than a service that sheds load ever holds; a request beyond them waits, which its latency shows
)
DRAIN_S = 40  # how long answers may take after the last request
MARGIN_S = 120  # beyond the load's own length


@dataclass(frozen=True)
class OpenLoad:
    """A constant rate of one-text requests."""

    port: int
    path: str
    model: str
    tokenizer: str
    tokens: int
    rate: float
    seconds: float
    first: int


@dataclass
class OpenResult:
    """The answers to an open loop."""

    sent: int = 0
    seconds: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    refused_without_retry_after: int = 0
    goodput: float = 0.0  # good answers per second, those after the last request was sent left out
    p50_ms: float = 0.0  # of good answers, counted from the intended start
    p99_ms: float = 0.0
    late_ms: float = 0.0  # p99 of the delay with which the generator sent
    generator_cpu: float = 0.0


def schedule(rate: float, seconds: float) -> Iterator[float]:
    """Intended starts, in seconds from the beginning."""
    return (n / rate for n in range(round(rate * seconds)))


class Generator:
    """Sends on schedule and collects the answers."""

    def __init__(self, load: OpenLoad) -> None:
        """Prepare what the requests have in common."""
        self._load = load
        self._body = TextBody(load.path, load.model, Texts.of(Path(load.tokenizer), load.tokens), 1)
        self._idle: list[Connection] = []
        self._open = 0
        self._waiting: deque[asyncio.Future[Connection]] = deque()
        self._statuses: Counter[str] = Counter()
        self._bare = 0
        self._in_time = 0
        self._end = 0.0
        self._latencies: list[float] = []
        self._late: list[float] = []

    async def run(self) -> OpenResult:
        """Send everything and wait for the answers."""
        tasks: set[asyncio.Task[None]] = set()
        begin = time.perf_counter() + 0.05
        self._end = begin + self._load.seconds
        sent = 0
        for number, offset in enumerate(schedule(self._load.rate, self._load.seconds)):
            intended = begin + offset
            pause = intended - time.perf_counter()
            if pause > 0 or number % 64 == 0:
                await asyncio.sleep(max(pause, 0))
            task = asyncio.ensure_future(self._one(self._load.first + number, intended))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        if tasks:
            _, lost = await asyncio.wait(tasks, timeout=DRAIN_S)
            self._statuses["lost"] += len(lost)
            for task in lost:
                task.cancel()
        return self._result(sent)

    def _result(self, sent: int) -> OpenResult:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return OpenResult(
            sent=sent,
            seconds=self._load.seconds,
            statuses={k: v for k, v in sorted(self._statuses.items()) if v},
            refused_without_retry_after=self._bare,
            goodput=self._in_time / self._load.seconds,
            p50_ms=percentile(self._latencies, 50) * 1e3,
            p99_ms=percentile(self._latencies, 99) * 1e3,
            late_ms=percentile(self._late, 99) * 1e3,
            generator_cpu=(usage.ru_utime + usage.ru_stime) / self._load.seconds,
        )

    async def _one(self, number: int, intended: float) -> None:
        data = request_bytes(self._load.path, self._body.content_type, self._body.data(number))
        try:
            connection = await self._connection()
            self._late.append(time.perf_counter() - intended)
            status, retry_after = await connection.exchange(data)
        except OSError:
            self._statuses["broken"] += 1
            self._open -= 1
            return
        self._release(connection)
        self._statuses[str(status)] += 1
        if status == 200:
            now = time.perf_counter()
            self._latencies.append(now - intended)
            self._in_time += now <= self._end
        elif not retry_after:
            self._bare += 1

    async def _connection(self) -> Connection:
        if self._idle:
            return self._idle.pop()
        if self._open < CONNECTIONS:
            self._open += 1
            return await Connection.connect(self._load.port)
        future: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return await future

    def _release(self, connection: Connection) -> None:
        if connection.closed:
            self._open -= 1
        elif self._waiting:
            self._waiting.popleft().set_result(connection)
        else:
            self._idle.append(connection)


def run(load: OpenLoad) -> OpenResult:
    """Run the generator as a process of its own.

    Raises:
        RuntimeError: it failed.
        TimeoutExpired: it did not end in time.
    """
    command = [sys.executable, "-m", "bench.loads.open_loop"]
    answer = subprocess.run(
        command,
        check=False,
        input=json.dumps(asdict(load)),
        capture_output=True,
        text=True,
        timeout=load.seconds + MARGIN_S,
    )
    if answer.returncode:
        raise RuntimeError(f"the open-loop generator failed: {answer.stderr[-1000:]}")
    return OpenResult(**json.loads(answer.stdout))


def main() -> None:
    """Run the load that standard input describes, and print the result."""
    document: dict[str, Any] = json.load(sys.stdin)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop = Generator(OpenLoad(**document)).run()
    result = asyncio.run(loop) if uvloop is None else uvloop.run(loop)
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
