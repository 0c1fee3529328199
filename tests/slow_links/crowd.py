"""Many clients that send or read slowly, for as long as somebody looks: who is cut off comes again at once."""

from __future__ import annotations

import contextlib
import errno
import json
import select
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from typing import Literal

from tests.faults.hostile.case import JSON
from tests.faults.wire import request
from tests.integration.waiting import wait
from tests.slow_links.gateway import LARGE

Slowness = Literal["heads", "small bodies", "megabytes", "chunks", "readers"]
DRIP_S = 1.0  # between two bytes
AGAIN_S = 0.2  # until somebody who was cut off comes again


@dataclass(frozen=True)
class Manner:
    """How a slow client is slow."""

    at_once: bytes
    drip: bytes = b""  # then, again and again


def manners(model: str, large: list[str]) -> dict[Slowness, Manner]:
    """Every kind of slow client; ``large`` are inputs whose answer is large."""
    small = b'{"model": "%s", "input": "' % model.encode() + b"x" * 200
    chunked = request(headers=(*JSON, ("transfer-encoding", "chunked")), length=False)
    answers = json.dumps({"model": model, "input": large, "encoding_format": "base64"}).encode()
    return {
        "heads": Manner(b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\nx-slow: ", b"y"),
        "small bodies": Manner(request(small, headers=JSON)[:-100]),
        "megabytes": Manner(request(b" " * 4_000_000, headers=JSON)[:100_000], b" "),
        "chunks": Manner(chunked + b"4e20\r\n" + b" " * 20000 + b"\r\n", b"1\r\n \r\n"),
        "readers": Manner(request(answers, headers=JSON)),
    }


MANNERS = manners("m", [LARGE] * 100)  # answers of 2.2 MB


@dataclass
class Crowd:
    """Its connections, and what became of those that ended."""

    slowness: Slowness
    size: int
    port: int
    host: str = "127.0.0.1"
    manner: Manner | None = None
    ended: Counter[str] = field(default_factory=Counter)
    bodies: set[bytes] = field(default_factory=set)
    complete: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Start with none."""
        self._manner = self.manner or MANNERS[self.slowness]
        self._open: dict[int, socket.socket] = {}
        self._poll = select.epoll()
        self._turns: deque[socket.socket] = deque()
        self._over = False
        self._again = 0.0  # when the next may connect

    @contextlib.contextmanager
    def present(self) -> Iterator[Crowd]:
        """Keep all of its connections open until the block ends."""
        with self.trying(self.complete.is_set):
            yield self

    @property
    def refused(self) -> int:
        """How many of its connections ended without an answer."""
        return self.ended.total() - sum(n for status, n in self.ended.items() if status.isdigit())

    @contextlib.contextmanager
    def trying(self, enough: Callable[[], bool]) -> Iterator[Crowd]:
        """Keep as many open as can be until the block ends, which begins when it is ``enough``."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            wait(lambda: f"{len(self._open)} of {self.size} are connected; {self.ended}", enough)
            yield self
        finally:
            self._over = True
            thread.join()
            for connection in self._open.values():
                connection.close()

    def _run(self) -> None:
        dripped_at = time.monotonic()
        while not self._over:
            if time.monotonic() > self._again:
                for _ in range(min(64, self.size - len(self._open))):
                    self._connect()
            if len(self._open) == self.size:
                self.complete.set()
            for descriptor, _ in self._poll.poll(0.02):
                self._answered(descriptor)
            if self._manner.drip:
                dripped_at = self._drip_some(dripped_at)

    def _drip_some(self, since: float) -> float:
        """Send from those whose turn it is, each once in DRIP_S: links do not all send at the same instant.

        Returns:
            When those after them are due to begin.
        """
        count = int((time.monotonic() - since) / DRIP_S * self.size)
        for connection in [self._turns.popleft() for _ in range(min(count, len(self._turns)))]:
            if connection.fileno() in self._open:  # a closed one has -1
                self._turns.append(connection)
                self._write(connection.fileno(), self._manner.drip)
        return since + count / self.size * DRIP_S

    def _connect(self) -> None:
        connection = socket.socket()
        if self.slowness == "readers":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.bind((self.host, 0))
        connection.settimeout(20)
        try:
            connection.connect(("127.0.0.1", self.port))
            connection.sendall(self._manner.at_once)
        except OSError as error:
            self.ended[errno.errorcode.get(error.errno or 0, str(error))] += 1
            connection.close()
            return
        connection.setblocking(False)
        self._open[connection.fileno()] = connection
        self._turns.append(connection)
        # Whoever reads slowly is not told of what there is to read, only of the end.
        self._poll.register(connection, select.EPOLLRDHUP if self.slowness == "readers" else select.EPOLLIN)

    def _write(self, descriptor: int, data: bytes) -> None:
        try:
            self._open[descriptor].send(data)
        except BlockingIOError:
            pass
        except OSError:
            self._answered(descriptor)

    def _answered(self, descriptor: int) -> None:
        connection = self._open.pop(descriptor)
        with contextlib.suppress(OSError):
            self._poll.unregister(descriptor)
        try:
            answer = connection.recv(65536)
        except OSError:
            answer = b""
        self.ended[answer[9:12].decode() or "closed"] += 1
        self._again = time.monotonic() + AGAIN_S
        if answer and len(self.bodies) < 20:
            self.bodies.add(answer.partition(b"\r\n\r\n")[2])
        connection.close()


def keep(kind: Slowness, size: int, port: int, manner: Manner, complete: Event, over: Event) -> None:
    """Keep a crowd until it is ``over``, for a process of its own."""
    crowd = Crowd(kind, size, port, manner=manner)
    with crowd.trying(lambda: crowd.complete.is_set() or over.is_set()):
        complete.set()
        over.wait()
    print(f"{size} {kind}: of the crowd ended: {dict(crowd.ended)}", flush=True)
