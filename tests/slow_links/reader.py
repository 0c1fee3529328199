"""Answers on a connection, one after the other."""

from __future__ import annotations

import socket

from tests.faults.wire import Answer


class Reader:
    """Reads them as a client does that keeps its connection."""

    def __init__(self, connection: socket.socket) -> None:
        """Read from ``connection``."""
        self._file = connection.makefile("rb")

    def answer(self) -> Answer:
        """The next one; the status is 0 where the connection ended instead, or what came is none."""
        line = self._line()
        if not line.startswith(b"HTTP/"):
            return Answer(0, {}, b"")
        headers = {}
        while (field := self._line()) not in (b"\r\n", b""):
            name, _, value = field.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = self._file.read(int(headers["content-length"])) if "content-length" in headers else b""
        return Answer(int(line.split()[1]), headers, body)

    def _line(self) -> bytes:
        try:
            return self._file.readline()
        except ConnectionResetError:
            return b""
