"""What tests of sources and of the store share."""

from __future__ import annotations

from pathlib import Path

from models.catalog.download import Silent
from models.catalog.model_spec import ModelSpec
from models.catalog.source_entry import Source


def left(folder: Path) -> list[str]:
    """Files of a folder that look whole."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix not in (".partial", ".lock", ".failed"))


def text_spec(sources: list[Source]) -> ModelSpec:
    return ModelSpec(
        model="text",
        version="1.0.0",
        name="tiny",
        path="./models/store/tiny.onnx",
        type="text",
        dimensions=8,
        config={"max_sequence_length": 16, "do_lower_case": True, "pooling": "mean"},
        sources=sources,
    )


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)
