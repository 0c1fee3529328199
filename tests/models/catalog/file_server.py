"""A web server of files on loopback that stops in the middle of one when it is told to."""

from __future__ import annotations

import base64
import http.server
import socket
import threading
from dataclasses import dataclass, field

WAIT_S = 30.0  # for an event that comes at once unless the code is wrong


@dataclass
class FileServer:
    """A web server of files on loopback that supports ranges and can stop in the middle of one."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    password: str | None = None
    cut_after: list[int] = field(default_factory=list)  # bytes of each coming answer after which the line is cut
    hold_after: int | None = None  # bytes of an answer after which it waits for ``resume``
    resume: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path and range of each request
    url: str = ""

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("range")
        self.asked.append((handler.path, wanted))
        data = self.files.get(handler.path)
        if self.password and handler.headers.get("authorization") != self._authorization():
            handler.send_response(401)
            handler.send_header("www-authenticate", 'Basic realm="mirror"')
            handler.send_header("content-length", "0")
            handler.end_headers()
            return
        if data is None:
            handler.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        if start and start >= len(data):
            handler.send_error(416)
            return
        body = data[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("content-length", str(len(body)))
        handler.send_header("content-type", "text/html" if handler.path.endswith("/") else "application/octet-stream")
        handler.end_headers()
        self._send(handler, body)

    def _authorization(self) -> str:
        return "Basic " + base64.b64encode(f"user:{self.password}".encode()).decode()

    def _send(self, handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        if self.cut_after:
            handler.wfile.write(body[: self.cut_after.pop(0)])
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
        elif self.hold_after is not None:
            handler.wfile.write(body[: self.hold_after])
            handler.wfile.flush()
            self.resume.wait(WAIT_S)
            handler.wfile.write(body[self.hold_after :])
        else:
            handler.wfile.write(body)
