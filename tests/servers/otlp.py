"""A receiver of OTLP over HTTP that keeps the spans it is sent."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Span:
    """A span as it came, with its resource's service name."""

    service: str
    raw: Any

    @property
    def name(self) -> str:
        return self.raw.name

    @property
    def trace(self) -> str:
        return self.raw.trace_id.hex()

    @property
    def id(self) -> str:
        return self.raw.span_id.hex()

    @property
    def parent(self) -> str:
        return self.raw.parent_span_id.hex()

    @property
    def links(self) -> set[str]:
        return {link.span_id.hex() for link in self.raw.links}

    @property
    def failed(self) -> bool:
        return self.raw.status.code == self.raw.status.STATUS_CODE_ERROR

    @property
    def attributes(self) -> dict[str, Any]:
        return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in self.raw.attributes}

    def within(self, other: Span) -> bool:
        """Whether it lies inside the other in time, but for what clocks of two processes differ."""
        slack = 2_000_000
        begins = self.raw.start_time_unix_nano >= other.raw.start_time_unix_nano - slack
        return begins and self.raw.end_time_unix_nano <= other.raw.end_time_unix_nano + slack


@dataclass
class Collector:
    """What was received, and how."""

    url: str
    spans: list[Span] = field(default_factory=list)
    content_types: set[str] = field(default_factory=set)

    def of(self, trace: str) -> dict[str, list[Span]]:
        """The spans of a trace by name."""
        found: dict[str, list[Span]] = {}
        for span in list(self.spans):
            if span.trace == trace:
                found.setdefault(span.name, []).append(span)
        return found

    def take(self, path: str, content_type: str, body: bytes) -> None:
        assert path == "/v1/traces"
        self.content_types.add(content_type)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
            self.spans += [Span(names[0], raw) for scope in resource.scope_spans for raw in scope.spans]


@contextlib.contextmanager
def collector() -> Iterator[Collector]:
    """Listen on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            found.take(self.path, self.headers["content-type"], body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
