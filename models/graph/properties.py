"""What an ONNX file says of itself: its metadata properties, read without its weights."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from models.graph.protobuf_fields import LENGTH_DELIMITED, fields_of

METADATA = 14  # of ModelProto in onnx.proto


def properties_of(path: Path) -> dict[str, str]:
    """The metadata properties of an ONNX file; empty if it is none. Its weights are skipped, however large they are."""
    properties: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            for number, wire_type, length, _ in fields_of(file, os.fstat(file.fileno()).st_size):
                if (number, wire_type) == (METADATA, LENGTH_DELIMITED):
                    entry = onnx.StringStringEntryProto.FromString(file.read(length))
                    properties[entry.key] = entry.value
                else:
                    file.seek(length, os.SEEK_CUR)
    except (OSError, DecodeError, EOFError):
        return {}
    return properties
