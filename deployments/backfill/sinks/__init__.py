"""The forms of sinks. A new one is one file beside this one and one line in ``open_sink``."""

from __future__ import annotations

from deployments.backfill.sinks.base import Sink
from deployments.backfill.sinks.parquet import ParquetSink


def open_sink(uri: str) -> Sink:
    """The sink that a URI or path names."""
    return ParquetSink(uri)
