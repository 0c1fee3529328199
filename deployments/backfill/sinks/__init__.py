"""The forms of sinks. A new one is one file beside this one and one entry in ``SINKS``."""

from __future__ import annotations

from deployments.backfill.sinks.base import Sink
from deployments.backfill.sinks.lance_dataset import LanceSink
from deployments.backfill.sinks.parquet import ParquetSink
from deployments.backfill.sinks.postgres import PostgresSink
from deployments.backfill.sinks.qdrant import QdrantSink

SINKS: tuple[type[Sink], ...] = (PostgresSink, QdrantSink, LanceSink)


def open_sink(uri: str) -> Sink:
    """The sink that a URI or path names; a folder of Parquet files where no other form takes it.

    Raises:
        JobError: the URI lacks something that its form needs.
    """
    return next((form for form in SINKS if form.takes(uri)), ParquetSink)(uri)
