"""JSON Lines: one object a line."""

from __future__ import annotations

import io
from collections.abc import Iterator

import orjson

from deployments.backfill.sources.base import RowFault
from deployments.backfill.sources.lines import MISSING, LineSource, Pair

NO_JSON = RowFault("the line is no JSON object", "invalid_json")
BOM = b"\xef\xbb\xbf"


class JsonlSource(LineSource):
    """Files of JSON objects, one a line."""

    suffixes = frozenset({".jsonl", ".ndjson"})

    def records(self, raw: io.BufferedReader) -> Iterator[bytes]:
        """The lines; empty ones belong to the record before them."""
        record = b""
        for line in raw:
            if record.strip() and line.strip():
                yield record
                record = b""
            record += line
        if record.strip():
            yield record

    def pairs(self, data: bytes, header: bytes) -> list[Pair]:  # noqa: ARG002 - there is none
        """Id and value of each line that is not empty."""
        return [self._pair(line) for line in data.removeprefix(BOM).split(b"\n") if line.strip()]

    def _pair(self, line: bytes) -> Pair:
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError:
            return NO_JSON, NO_JSON
        if not isinstance(document, dict):
            return NO_JSON, NO_JSON
        return document.get(self.id, MISSING), document.get(self.column, MISSING)
