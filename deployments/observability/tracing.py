"""OpenTelemetry spans of a request's way: gateway, queue, call, encoder, batch, inference. Off unless an endpoint is set.

OpenTelemetry's own variables configure it: ``OTEL_EXPORTER_OTLP_ENDPOINT`` (OTLP over HTTP, protobuf) switches it on,
``OTEL_TRACES_SAMPLER`` says how much is kept. Serve's own tracing does not serve here: it shows a batch below its first
request alone, and does not know that a gateway sends many requests in one call.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from deployments.observability.logging import logger
from models.http_client import unproxied

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
CARRIED = ("traceparent", "tracestate")
CALLERS: ContextVar[tuple[Span, ...]] = ContextVar("callers", default=())  # spans of the requests that a call serves
_tracer: Tracer | None = None


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment says where spans go."""
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not disabled and any(environment.get(name) for name in ENDPOINTS)


def start(service: str) -> None:
    """Trace in this process from now on, where the environment says so. Calls after the first do nothing.

    Args:
        service: ``service.name`` unless ``OTEL_SERVICE_NAME`` says otherwise.
    """
    global _tracer  # noqa: PLW0603 - a process has one
    if _tracer is not None or not wanted(os.environ):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        logger.error("an OTLP endpoint is set, but nothing is traced: install embedserve[otel]")
        return
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    os.environ.update(unproxied(os.environ))  # the exporter's library would ask a collector beside us through a proxy
    name = os.environ.get("OTEL_SERVICE_NAME") or service
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("embedserve")


def on() -> bool:
    """Whether this process traces."""
    return _tracer is not None


def request(headers: Iterable[tuple[bytes, bytes]], method: str) -> Span | None:
    """Begin the span of an HTTP request, in the trace that its ``traceparent`` names; None where it is not sampled."""
    from opentelemetry.trace import SpanKind

    carried = {key: v.decode("latin-1") for name, v in headers if (key := name.decode("latin-1")) in CARRIED}
    return _begun(method, carried, SpanKind.SERVER, {"http.request.method": method})


def call(reference: str) -> Span | None:
    """Begin the span of a call to an encoder: a child of its first request's span, with links to those of all of them."""
    if _tracer is None or not (callers := CALLERS.get()):
        return None
    from opentelemetry.trace import Link, SpanKind, set_span_in_context

    links = [Link(span.get_span_context()) for span in callers]
    parent = set_span_in_context(callers[0])
    attributes: dict[str, str | int] = {"embedserve.model": reference, "embedserve.requests": len(callers)}
    return _tracer.start_span(f"call {reference}", parent, SpanKind.CLIENT, attributes, links)


def carried(span: Span | None) -> tuple[str, ...]:
    """The ``traceparent`` headers that go to the encoder: the call's, then those of the requests that it is made for."""
    return () if span is None else tuple(_written(one) for one in (span, *CALLERS.get()))


def encode(trace: Sequence[str], reference: str) -> Span | None:
    """Begin the span of a call's work in the encoder; ``trace`` is what ``carried`` gave."""
    if not trace:
        return None
    from opentelemetry.trace import SpanKind

    return _begun(f"encode {reference}", {"traceparent": trace[0]}, SpanKind.SERVER, {"embedserve.model": reference})


def stage(name: str, parent: Span | None, began: float, ended: float) -> None:
    """Add a span that is over.

    Args:
        name: of the stage.
        parent: below which it stands; None where the request is not traced.
        began: a reading of ``time.perf_counter``, or of ``time.monotonic``, which is the same clock on Linux.
        ended: as ``began``.
    """
    if _tracer is not None and parent is not None:
        from opentelemetry.trace import set_span_in_context

        _tracer.start_span(name, set_span_in_context(parent), start_time=_ns(began)).end(_ns(ended))


def batch(
    callers: Sequence[tuple[Span, Sequence[str]]], times: tuple[float, float, float], attributes: Mapping[str, Any]
) -> None:
    """Add the spans of a batch and of its inference, below its first call, with links to every request in the batch.

    Args:
        callers: for each call in the batch that is traced, its ``encode`` span and what ``carried`` gave.
        times: readings of ``time.perf_counter``: the batch was formed, the engine began, the engine ended.
        attributes: of the batch.
    """
    if _tracer is None or not callers:
        return
    from opentelemetry.trace import Link, get_current_span, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    read = TraceContextTextMapPropagator().extract
    texts = dict.fromkeys(text for _, trace in callers for text in trace[1:])
    requests = [get_current_span(read({"traceparent": text})).get_span_context() for text in texts]
    links = [Link(context) for context in (*(span.get_span_context() for span, _ in callers), *requests)]
    formed, began, ended = map(_ns, times)
    parent = set_span_in_context(callers[0][0])
    span = _tracer.start_span("batch", parent, links=links, attributes=dict(attributes), start_time=formed)
    _tracer.start_span("inference", set_span_in_context(span), start_time=began).end(ended)
    span.end(ended)


def end(span: Span | None, attributes: Mapping[str, Any] | None = None, *, failed: bool = False) -> None:
    """End a span. Attributes that are None are left out."""
    if span is None:
        return
    from opentelemetry.trace import StatusCode

    span.set_attributes({name: value for name, value in (attributes or {}).items() if value is not None})
    if failed:
        span.set_status(StatusCode.ERROR)
    span.end()


def trace_id(span: Span | None) -> str | None:
    """The name of a span's trace, 32 hex digits."""
    return None if span is None else f"{span.get_span_context().trace_id:032x}"


def _begun(name: str, carrier: dict[str, str], kind: Any, attributes: Mapping[str, Any]) -> Span | None:
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    span = _tracer.start_span(name, TraceContextTextMapPropagator().extract(carrier), kind, attributes)
    return span if span.get_span_context().trace_flags.sampled else None


def _written(span: Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _ns(moment: float) -> int:
    return time.time_ns() - int((time.perf_counter() - moment) * 1e9)
