"""What is no request, or two in one, has one answer; what HAProxy answers by itself is JSON wherever that can be chosen."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deployments.serve_internals.haproxy_rules import Rules
from deployments.serve_internals.haproxy_sections import completed
from tests.faults.hostile import no_http
from tests.faults.wire import Answer, exchange, request
from tests.slow_links.front import Front
from tests.slow_links.gateway import SMALL
from tests.slow_links.good import ask
from tests.slow_links.reader import Reader

BODY = json.dumps({"model": "m", "input": SMALL}).encode()
AT_ONCE = 16
SERVED = {  # as HTTP says of them
    "a folded header",
    "an expectation that nobody knows",
    "an upgrade",
    "a length and chunks",
    "chunks, and a length that ends sooner",
    "chunks: a chunk for each byte",
    "chunks: chunk extensions",
    "chunks: a trailer",
}
UNREADABLE = {400, 408, 422, 501}  # by HAProxy's parser, in HTML, whatever its configuration says
NEXT = request(b"", "/v1/models", [("connection", "close")], "GET")


def answers(port: int, data: bytes) -> list[Answer]:
    """What comes back for bytes and, where the connection stays, for a good request behind them."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        reader = Reader(connection)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all was sent
            connection.sendall(data)
        found = [reader.answer()]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(NEXT)
        while found[-1].status:
            found.append(reader.answer())
        return found[:-1]


def wrong(name: str, found: list[Answer]) -> str | None:
    """Why those are not one answer, and that of the good request behind it where it was read; nothing where they are."""
    if not found:
        return None  # hung up: what came was nothing to answer
    first, *rest = found
    if len(rest) > 1 or any(answer.status != 200 for answer in rest):
        return f"{len(found)} answers, the last of which is {found[-1]}"
    if (first.status == 200) != (name in SERVED):
        return f"{first.status}: {first.body[:100]!r}"
    page = first.headers.get("content-type") == "text/html" and first.status in UNREADABLE and not rest
    return None if first.status == 200 or page else first.problem()


def test_what_is_no_request_or_two_in_one_has_one_answer(front: Front) -> None:
    sent = no_http.requests(BODY)
    del sent["a hidden second request"]  # two, as everybody reads them
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip(sent, pool.map(lambda data: answers(front.port, data), sent.values()), strict=True))
    assert {name: why for name, one in found.items() if (why := wrong(name, one)) is not None} == {}
    assert ask(front.port, 3).failures == []


@pytest.mark.parametrize("path", [b"x:80", b"\\v1\\models", b"*"])
def test_what_is_no_path_is_told_what_a_path_is(front: Front, path: bytes) -> None:
    answer = exchange(front.port, request(b"", path, [], "OPTIONS" if path == b"*" else "GET"))
    assert answer is not None
    assert (answer.status, answer.problem()) == (404, None)
    assert answer.headers["x-request-id"]


def test_a_body_that_is_no_http_is_told_in_json(front: Front) -> None:
    answer, *_ = answers(front.port, no_http.requests(BODY)["chunks: a megabyte behind them"])
    assert (answer.status, answer.problem()) == (400, None)


def test_before_a_gateway_is_deployed_every_path_is_unavailable_and_none_unknown(tmp_path: Path) -> None:
    front = Front(tmp_path, [1], Rules(0.25))
    undeployed = "\n".join(line for line in front.written.splitlines() if "use_backend" not in line)
    front.file.write_text(completed(undeployed, Rules(0.25)))
    with front.running():
        answer = exchange(front.port, request(BODY))
    assert answer is not None
    assert (answer.status, answer.problem()) == (503, None)
    assert 1 <= int(answer.headers["retry-after"]) <= 3


class Dying(socketserver.StreamRequestHandler):
    """A gateway that is well, and ends at every other request than that for its health."""

    def handle(self) -> None:
        if b"/health/live" in self.rfile.readline():
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


@pytest.mark.parametrize("size", [10, 1_000_000], ids=["that fits into a buffer", "that does not"])
def test_a_request_whose_gateway_ends_is_told_to_come_again(tmp_path: Path, size: int) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dying) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            with Front(tmp_path, [server.server_address[1]], Rules(0.25)).running() as front:
                answer = exchange(front.port, request(b"x" * size))
        finally:
            server.shutdown()
    assert answer is not None
    assert answer.status in (502, 503)  # before and after HAProxy noticed that it is down
    assert answer.problem() is None
    assert answer.headers["x-request-id"]
    assert 1 <= int(answer.headers["retry-after"]) <= 3
