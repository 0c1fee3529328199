"""A file of SentencePiece (``spiece.model``): its pieces, and how it normalises.

It is one message of protocol buffers, read by the rules of their wire format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from models.errors import ArtifactError

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5  # wire types
PIECES, TRAINING, NORMALIZING = 1, 2, 3  # fields of the message
UNIGRAM = 1
UNKNOWN = 2  # type of the piece that stands for what no piece covers

Value = int | bytes


@dataclass(frozen=True)
class SentencePieces:
    """What a file says."""

    pieces: list[tuple[str, float]]  # each with its score, in the order of their ids
    unknown: int
    characters: bytes  # the compiled table of characters that are replaced; empty for none
    in_bytes: bool  # what no piece covers is written in the pieces of its bytes


def read_sentencepiece(content: bytes) -> SentencePieces:
    """Read the file of a unigram model.

    Raises:
        ArtifactError: it is none, or one that works in a way that is not served.
    """
    try:
        return _read(content)
    except (ValueError, IndexError, struct.error) as error:
        raise ArtifactError(f"it is no file of SentencePiece: {error}") from error


def _read(content: bytes) -> SentencePieces:
    pieces: list[tuple[str, float]] = []
    types: list[int] = []
    training: dict[int, Value] = {}
    normalizing: dict[int, Value] = {}
    for field, value in _fields(content):
        if field == PIECES:
            read = dict(_fields(_message(value)))
            score = read.get(2, b"\0" * 4)
            pieces.append((_message(read.get(1, b"")).decode(), struct.unpack("<f", _message(score))[0]))
            types.append(_number(read, 3, 1))
        elif field == TRAINING:
            training = dict(_fields(_message(value)))
        elif field == NORMALIZING:
            normalizing = dict(_fields(_message(value)))
    if UNKNOWN not in types:
        raise ValueError("it has no piece for what is unknown")
    usual = {
        "model_type": _number(training, 3, UNIGRAM) == UNIGRAM,
        "treat_whitespace_as_suffix": not _number(training, 24, 0),
        "remove_extra_whitespaces": bool(_number(normalizing, 4, 1)),
        "escape_whitespaces": bool(_number(normalizing, 5, 1)),
    }
    for name, served in usual.items():
        if not served:
            raise ArtifactError(
                f"its {name} is not as that of the models that are served (unigram, with SentencePiece's defaults)"
            )
    in_bytes = bool(_number(training, 35, 0))
    return SentencePieces(pieces, types.index(UNKNOWN), _message(normalizing.get(2, b"")), in_bytes)


def _fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field; numbers of a fixed size as their bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == LENGTH:
            size, at = _varint(message, at)
        else:
            size = {EIGHT_BYTES: 8, FOUR_BYTES: 4}.get(kind, -1)
        if size < 0 or at + size > len(message):
            raise ValueError(f"it ends within field {key >> 3}, or that is of an unknown kind")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number has more than ten bytes")


def _message(value: Value) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number stands where a text belongs")
    return value


def _number(fields: dict[int, Value], field: int, default: int) -> int:
    value = fields.get(field, default)
    if not isinstance(value, int):
        raise ValueError(f"field {field} is no number")
    return value
