"""Bytes to a port and the answer from it: requests that no HTTP client would send."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

ANSWER_S = 60.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> str | None:
        """Why this is not an error as the contract shapes it; nothing when it is one."""
        if self.headers.get("content-type") != "application/json":
            return f"content type {self.headers.get('content-type')}"
        document = orjson.loads(self.body)
        error = document.get("error")
        sentence = isinstance(error, str) and set(document) <= {"error", "param", "code", "error_type"}
        ours = set(document) in ({"error"}, {"error", "detail"})  # clients of Jina's read the message there
        if not sentence and (not ours or set(error) != {"message", "type", "param", "code"}):
            return f"another shape: {self.body[:200]!r}"
        message = error if isinstance(error, str) else error["message"]  # a sentence in neighbours' protocols
        if not message or "Traceback" in message or ".py" in message or len(message) > 2000:
            return f"a message that is not fit to be shown: {message[:200]!r}"
        return None


def exchange(port: int, parts: bytes | Iterable[bytes], timeout_s: float = ANSWER_S) -> Answer | None:
    """Send a request, in one piece or several; nothing comes back when the other side just hangs up.

    Raises:
        TimeoutError: it does not even do that.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        try:
            for part in [parts] if isinstance(parts, bytes) else parts:
                connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was sent: the answer may be there all the same
        return receive(connection)


def receive(connection: socket.socket) -> Answer | None:
    """Read one answer, and nothing of what stands behind it."""
    answer = http.client.HTTPResponse(connection)
    answer.fp = connection.makefile("rb", buffering=1)  # its own would take bytes of the next answer, and lose them
    try:
        answer.begin()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    except (http.client.BadStatusLine, ConnectionResetError):
        return None
    finally:
        answer.close()


def request(
    body: bytes = b"",
    path: str | bytes = "/v1/embeddings",
    headers: Iterable[tuple[str | bytes, str | bytes]] = (("content-type", "application/json"),),
    method: str = "POST",
    *,
    length: bool = True,
) -> bytes:
    """A request as bytes, with Content-Length unless told otherwise; nothing is escaped or checked."""
    lines = [b" ".join((method.encode(), _bytes(path), b"HTTP/1.1")), b"host: service"]
    lines += [_bytes(name) + b": " + _bytes(value) for name, value in headers]
    if length:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
