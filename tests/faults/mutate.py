"""Inputs made of good ones by small damage, the same for the same seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from tests.faults.hostile.json_bodies import GOOD, INFER, INFER_PATH, JUNK, TEXTS
from tests.faults.hostile.pictures import FORMATS, MODES, encoded, scene

NUMBERS = (0, 1, 2, 7, 8, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
FRAGMENTS = (b'"', b"\\", b"\\u", b"\\ud800", b"{", b"}", b"[", b"]", b",", b":", b"null", b"1e999", b"\0", b"\xff")
MOST = 6  # damages of one input
DOCUMENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/embeddings", GOOD),
    ("/v1/embeddings", {**GOOD, "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8, "user": "u"}),
    ("/v1/embeddings", {**GOOD, "input": [101, 102]}),
    ("/v1/embeddings", {**GOOD, "input": [[101], [102, 103]]}),
    (INFER_PATH, INFER),
    (INFER_PATH, {**INFER, "id": "x", "outputs": [{"name": "embedding", "parameters": {"binary_data": False}}]}),
)


def bodies(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Paths and JSON bodies: values exchanged in the document, bytes damaged in what is written of it."""
    chance = random.Random(seed)
    for _ in range(count):
        path, document = chance.choice(DOCUMENTS)
        if chance.random() < 0.7:
            document = _exchanged(chance, document)
        data = json.dumps(document, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
        yield path, damaged(chance, data, FRAGMENTS) if chance.random() < 0.5 else data


def _exchanged(chance: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """A copy in which one value, however deep, is another."""
    changed = copy.deepcopy(document)
    node: Any = changed
    while True:
        key = chance.choice(list(node) if isinstance(node, dict) else list(range(len(node))))
        inner = node[key]
        if not (isinstance(inner, dict | list) and inner) or chance.random() < 0.3:
            node[key] = chance.choice([*JUNK.values(), *TEXTS.values(), *NUMBERS])
            return changed
        node = inner


def pictures(seed: int, count: int, side: int = 24) -> Iterator[bytes]:
    """Damaged files of every format and mode."""
    chance = random.Random(seed)
    files = [encoded(scene(side, side, mode), kind) for kind in FORMATS for mode in MODES[kind]]
    for _ in range(count):
        yield damaged(chance, chance.choice(files), ())


def damaged(chance: random.Random, data: bytes, fragments: tuple[bytes, ...]) -> bytes:
    """Some bytes changed, inserted, doubled or missing."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, MOST)):
        # Headers are at the beginning: half of the damage goes there.
        at = chance.randrange(max(1, len(changed) if chance.random() < 0.5 else min(len(changed), 64)))
        _damage(chance, changed, at, fragments)
    return bytes(changed)


def _damage(chance: random.Random, changed: bytearray, at: int, fragments: tuple[bytes, ...]) -> None:
    kind = chance.randrange(7)
    if kind == 0 and changed:
        changed[min(at, len(changed) - 1)] ^= 1 << chance.randrange(8)
    elif kind == 1 and changed:
        changed[min(at, len(changed) - 1)] = chance.randrange(256)
    elif kind == 2:
        size = chance.choice((1, 2, 4))
        number = (chance.choice(NUMBERS) % 256**size).to_bytes(size, chance.choice(("little", "big")))
        changed[at : at + size] = number
    elif kind == 3:
        del changed[at : at + chance.choice((1, 2, 8, 64))]
    elif kind == 4:
        piece = changed[at : at + chance.choice((1, 8, 64))]
        changed[at:at] = piece * chance.choice((1, 2, 50))
    elif kind == 5 and fragments:
        changed[at:at] = chance.choice(fragments)
    elif chance.random() < 0.2:
        del changed[at:]
