"""One line of JSON for each request: who was answered by which artifact, and where the time went. Never what was asked.

A line takes 10 µs. Through Serve's logger it would take 45: here orjson makes it, and a file of its own, among Serve's
logs, takes the lines of each second at once.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import orjson

from deployments.observability.logging import logger
from deployments.observability.request_record import Record

KEPT = 20_000  # lines between two writes; those beyond are dropped and counted
Noted = tuple[list[bytes], int]  # lines, and how many others were dropped
TOGETHER = 128  # lines in one go: copies of all that a second brings, 5 MB each, cost two page faults for each line
FILE_BYTES = 100 << 20
FILES = 5  # of FILE_BYTES each; together they hold about a million requests


class AccessLog:
    """The lines of one gateway replica."""

    def __init__(self, path: Path, replica: str) -> None:
        """Write nothing yet.

        Args:
            path: of the file, which is created with the first line.
            replica: its name stands in every line.
        """
        self.on = False
        self._path = path
        self._replica = replica
        self._lines: list[bytes] = []
        self._dropped = 0
        self._handler: RotatingFileHandler | None = None
        self._problem: str | None = None  # why lines are lost

    def note(self, request_id: str, method: str, path: str, client: str | None, status: int, total_s: float,
             record: Record, trace_id: str | None) -> None:  # fmt: skip
        """Add the line of a request."""
        if len(self._lines) >= KEPT:
            self._dropped += 1
            return
        line = {
            "time": datetime.now(UTC),
            "message": "request",
            "replica": self._replica,
            "request_id": request_id,
            "trace_id": trace_id,
            "client": client,
            "method": method,
            "path": path,
            "status": status,
            "error": record.error,
            "model": record.model,
            "version": record.version,
            "hash": record.hash,
            "numerics": record.numerics,
            "items": record.items,
            "tokens": record.tokens,
            "cache": record.cache,
            "bulk": record.bulk,
            "queue_ms": _ms(record.queue_s),
            "preprocess_ms": _ms(record.preprocess_s),
            "inference_ms": _ms(record.inference_s),
            "total_ms": _ms(total_s),
        }
        if record.exposure is not None:
            line |= record.exposure._asdict()
        self._lines.append(orjson.dumps(line))

    def take(self) -> Noted:
        """What was noted since this was last called; for the thread that notes, or a line may go to a list that was written."""
        lines, self._lines = self._lines, []
        dropped, self._dropped = self._dropped, 0
        return lines, dropped

    def write(self, noted: Noted) -> None:
        """Append what was taken to the file. Waits for the disk, so call it from a thread of its own."""
        lines, dropped = noted
        lost = len(lines) + dropped
        if dropped:
            lines.append(orjson.dumps({"time": datetime.now(UTC), "message": "dropped", "lines": dropped}))
        if not lines:
            return
        try:
            if self._handler is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._handler = _File(self._path, maxBytes=FILE_BYTES, backupCount=FILES - 1)
            for at in range(0, len(lines), TOGETHER):
                part = lines[at : at + TOGETHER]
                self._handler.handle(_record(b"\n".join(part).decode()))
                lost -= len(part)
        except OSError as error:
            self._dropped += lost  # which the next line that is written says
            if str(error) != self._problem:
                logger.error("lines of the access log are lost: %s", error)
            self._problem = str(error)
        else:
            self._problem = None

    def close(self) -> None:
        """Write what is left and close the file."""
        self.write(self.take())
        if self._handler is not None:
            self._handler.close()


class _File(RotatingFileHandler):
    """A file whose errors are its caller's: logging itself prints a traceback for each, and goes on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - as logging has it
        """Raise what was caught."""
        error = sys.exception()
        if error is not None:
            raise error


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


def _record(text: str) -> Any:
    return logging.LogRecord("access", logging.INFO, "", 0, text, None, None)
