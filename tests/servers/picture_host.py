"""Real servers for tests of fetching: one that serves pictures over TLS, and one that nobody may reach."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme

Behaviour = Callable[[BaseHTTPRequestHandler], None]


class Trap:
    """Listens on every address of this machine, hangs up on whoever connects, and counts them."""

    def __init__(self) -> None:
        self.sockets = [socket.create_server(("0.0.0.0", 0))]
        self.port = self.sockets[0].getsockname()[1]
        if socket.has_ipv6:
            self.sockets.append(socket.create_server(("::", self.port), family=socket.AF_INET6, dualstack_ipv6=False))
        self._count, self._lock, self._closing = 0, threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._hang_up_on_all)
        self._thread.start()

    def _hang_up_on_all(self) -> None:
        while not self._closing.is_set():
            select.select(self.sockets, [], [], 0.05)
            self._hang_up()

    def _hang_up(self) -> None:
        with self._lock:
            while ready := select.select(self.sockets, [], [], 0)[0]:
                for listener in ready:
                    listener.accept()[0].close()
                    self._count += 1

    def connections(self) -> int:
        """How many were made since the last call."""
        self._hang_up()
        with self._lock:
            count, self._count = self._count, 0
        return count

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        for listener in self.sockets:
            listener.close()


class PictureHost:
    """An HTTP server, over TLS unless told otherwise, whose paths do what they are told to."""

    def __init__(self, authority: trustme.CA | None, *names: str, address: str = "127.0.0.2") -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.named: list[str | None] = []  # by SNI
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                host.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                host.behaviours[self.path.partition("?")[0]](self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer((address, 0), Handler)
        self.server.daemon_threads = True
        if authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(*names).configure_cert(context)
            context.sni_callback = lambda _, name, __: self.named.append(name)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.address, self.port = address, self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def answer(body: bytes, status: int = 200, **headers: str) -> Behaviour:
    """Answer with a body; ``content_type`` and the like become headers."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"content_type": "image/png", "content_length": str(len(body)), **headers}.items():
            if value:
                handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def redirect(location: str, status: int = 302) -> Behaviour:
    """Send elsewhere."""
    return answer(b"", status, location=location)
