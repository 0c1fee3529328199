"""The layer that keeps a record of each request: its line in the access log, its count in the metrics, its span."""

from __future__ import annotations

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.http.middleware.auth import CLIENT, PROBED
from deployments.http.middleware.request_id import REQUEST_ID
from deployments.http.status import SHED
from deployments.observability import tracing
from deployments.observability.access_log import AccessLog
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.observability.labels import ANY
from deployments.observability.request_record import RECORD, Record

PROBES = PROBED | {"/metrics"}
PATH_CHARACTERS = 200  # of a path; ours are shorter
GONE = 499  # the client left before its answer was made
FAILED = 500  # what the server answers when an exception passes every layer
ENDPOINT = "endpoint"  # where a scope holds the function that answers, once routing found one


class RequestLog:
    """Notes every request but those of probes, of which a quiet service would have little else."""

    def __init__(self, app: ASGIApp, log: AccessLog, metrics: GatewayMetrics) -> None:
        """Wrap ``app``; lines go to ``log``, counts to ``metrics``."""
        self._app = app
        self._log = log
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note what became of it."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        record = Record(tracing.request(scope["headers"], scope["method"]) if tracing.on() else None)
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        RECORD.set(record)
        try:
            await self._app(scope, receive, noting)
        except Exception:
            status = status or FAILED
            raise
        finally:
            status = status or GONE
            self._count(status, record)
            if self._log.on or record.span is not None:
                self._note(scope, status, time.perf_counter() - began, record)

    def _count(self, status: int, record: Record) -> None:
        labels = (record.model or ANY, record.version or ANY)
        self._metrics.requests.add((*labels, str(status), record.modality or ANY))
        if status in SHED and record.error is not None:  # no error: the readiness of a model, which may be 503 too
            self._metrics.shed.add((*labels, SHED[status]))

    def _note(self, scope: Scope, status: int, total_s: float, record: Record) -> None:
        path = scope["path"][:PATH_CHARACTERS]
        id_ = scope[REQUEST_ID].decode("latin-1")
        if self._log.on:
            method, client, trace_id = scope["method"], scope.get(CLIENT), tracing.trace_id(record.span)
            self._log.note(id_, method, path, client, status, total_s, record, trace_id)
        if record.span is not None:
            record.span.update_name(f"{scope['method']} {path}" if ENDPOINT in scope else scope["method"])
            tracing.end(record.span, _attributes(id_, path, status, record), failed=status >= 500)


def _attributes(request_id: str, path: str, status: int, record: Record) -> dict[str, Any]:
    exposure = record.exposure._asdict() if record.exposure is not None else {}
    return {
        **{f"embedserve.{name}": value for name, value in exposure.items()},
        "url.path": path,
        "http.response.status_code": status,
        "error.type": record.error,
        "embedserve.request_id": request_id,
        "embedserve.model": record.model and f"{record.model}@{record.version}",
        "embedserve.hash": record.hash,
        "embedserve.numerics": record.numerics,
        "embedserve.items": record.items,
        "embedserve.cache": record.cache,
    }
