"""JSON that is none, that is too much, or that holds what nobody asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.faults.hostile.case import EITHER, REFUSED, SERVED, Case

GOOD: dict[str, Any] = {"model": "text-embedding", "input": "hello"}
INFER: dict[str, Any] = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["hello"]}]}
INFER_PATH = "/v2/models/text-embedding/infer"
JUNK: dict[str, Any] = {
    "true": True,
    "zero": 0,
    "minus one": -1,
    "a fraction": 0.5,
    "a number beyond 64 bits": 2**64,
    "a number beyond a double": 10**400,
    "an empty string": "",
    "a lone NUL": "\0",
    "a long string": "x" * 5000,
    "an empty list": [],
    "an empty object": {},
    "a list of nothing": [None],
    "a list of objects": [{}, {}],
    "an object": {"a": {"b": [1]}},
    "a deep list": [[[[["x"]]]]],
    "a mixed list": ["x", 1, None, True],
}
NO_OBJECT = {
    "nothing": b"",
    "white space": b" \r\n\t ",
    "a word": b"hello",
    "null": b"null",
    "a number": b"5",
    "a string": b'"text"',
    "a list": b"[]",
    "a list of the right object": b"[" + json.dumps(GOOD).encode() + b"]",
    "an open brace": b"{",
    "a closed brace": b"}",
    "an open string": b'{"model": "text-embedding',
    "a trailing comma": b'{"model": "text-embedding", "input": "a",}',
    "single quotes": b"{'model': 'text-embedding', 'input': 'a'}",
    "a comment": b'/* */{"model": "text-embedding", "input": "a"}',
    "two objects": b'{"model": "text-embedding", "input": "a"}{}',
    "text after the object": b'{"model": "text-embedding", "input": "a"} x',
    "NaN": b'{"model": "text-embedding", "input": [NaN]}',
    "Infinity": b'{"model": "text-embedding", "input": [Infinity]}',
    "a hexadecimal number": b'{"model": "text-embedding", "input": [0x65]}',
    "a number with a leading zero": b'{"model": "text-embedding", "input": [0101]}',
    "a number of 1e400": b'{"model": "text-embedding", "input": [1e400]}',
    "a number of 10,000 digits": b'{"model": "text-embedding", "input": [' + b"9" * 10_000 + b"]}",
    "an exponent of 10,000 digits": b'{"model": "text-embedding", "input": [1e' + b"9" * 10_000 + b"]}",
    "only NULs": b"\0" * 100,
    "a NUL in a string": b'{"model": "text-embedding", "input": "a\0b"}',
    "a line feed in a string": b'{"model": "text-embedding", "input": "a\nb"}',
    "an unknown escape": rb'{"model": "text-embedding", "input": "\x41"}',
    "half an escape": rb'{"model": "text-embedding", "input": "\u00"}',
    "a lone high surrogate": rb'{"model": "text-embedding", "input": "\ud83d"}',
    "a lone low surrogate": rb'{"model": "text-embedding", "input": "a\ude00b"}',
    "surrogates the wrong way round": rb'{"model": "text-embedding", "input": "\ude00\ud83d"}',
    "a raw surrogate": b'{"model": "text-embedding", "input": "\xed\xa0\x80"}',
    "Latin-1": '{"model": "text-embedding", "input": "déjà"}'.encode("latin-1"),
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "UTF-32": json.dumps(GOOD).encode("utf-32"),
    "UTF-7": json.dumps(GOOD).encode("utf-7") + b"+",
    "an overlong NUL": b'{"model": "text-embedding", "input": "\xc0\x80"}',
    "a cut UTF-8 sequence": b'{"model": "text-embedding", "input": "\xf0\x9f"}',
    "a code point beyond Unicode": b'{"model": "text-embedding", "input": "\xf4\x90\x80\x80"}',
    "random bytes": bytes((i * 197 + 31) % 256 for i in range(4096)),
    "gzip's magic": b"\x1f\x8b\x08" + b"\0" * 100,
}
TEXTS = {
    "an escaped NUL": "a\0b",
    "only NULs": "\0" * 1000,
    "only white space": " \t\r\n\u2003\u00a0",
    "control characters": "".join(map(chr, range(32))),
    "emoji and their joiners": "👩‍👩‍👧‍👦🏳️‍🌈" * 500,
    "ten thousand combining marks": "a" + "\u0301" * 10_000,
    "right to left marks": "\u202e\u2066abc\u2069\u202c" * 100,
    "noncharacters": "\ufffe\uffff\U0010ffff\U0001fffe",
    "private use": "\ue000\uf8ff\U000f0000",
    "a byte order mark": "\ufeffhello",
    "the replacement character": "\ufffd" * 300,
    "ligatures that grow when normalised": "\ufdfa" * 2000,
    "capital sharp s and dotted i": "ẞİ" * 1000,
    "one word of 199,999 letters": "x" * 199_999,
    "every script a little": "".join(chr(c) for c in range(0x20, 0x2FFF, 7) if not 0xD800 <= c < 0xE000),
    "special tokens": "[CLS] [SEP] [PAD] [UNK] [MASK] ##a ##",
    "a format string": "%s%n%x {0.__class__} ${jndi:ldap://x} `id`",
    "SQL": "'; DROP TABLE vectors; --",
    "a picture's data URI": "data:image/png;base64,AAAA",
    "a URL": "http://169.254.169.254/latest/meta-data",
}


def cases() -> Iterator[Case]:
    """All of them."""
    for name, body in NO_OBJECT.items():
        for path in ("/v1/embeddings", INFER_PATH):
            yield Case.json(f"{name} to {path}", body, path=path)
    yield from _fields()
    yield from _texts()
    yield from _deep()
    yield from _ids()
    yield from _infer()
    for name, body in _doubled().items():
        yield Case.json(name, body, EITHER)


def _dumped(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def _fields() -> Iterator[Case]:
    for field in ("model", "input", "encoding_format", "dimensions", "user"):
        for name, junk in JUNK.items():
            legal = field == "user" and isinstance(junk, str)
            legal |= field == "input" and isinstance(junk, str) and junk != ""
            yield Case.json(f"{field} is {name}", _dumped({**GOOD, field: junk}), SERVED if legal else REFUSED)
    yield Case.json("no model", _dumped({"input": "a"}))
    yield Case.json("no input", _dumped({"model": "text-embedding"}))
    yield Case.json("a thousand unknown fields", _dumped({**GOOD, **{f"x{i}": i for i in range(1000)}}), SERVED)
    yield Case.json("a field name of a megabyte", _dumped({**GOOD, "x" * 1_000_000: 1}), SERVED)
    yield Case.json("an unknown field of two megabytes", _dumped({**GOOD, "x": "y" * 2_000_000}), SERVED)
    yield Case.json("fields with odd names", _dumped({**GOOD, "__proto__": {}, "": 1, "\0": 2}), SERVED)


def _texts() -> Iterator[Case]:
    for name, text in TEXTS.items():
        yield Case.json(f"a text of {name}", _dumped({**GOOD, "input": text}), SERVED)
        yield Case.json(f"a text of {name} for the image model", _dumped({"model": "image-embedding", "input": text}))
    yield Case.json("a text over the limit", _dumped({**GOOD, "input": "x" * 200_001}))
    yield Case.json("a list over the limit", _dumped({**GOOD, "input": ["a"] * 2049}))
    yield Case.json("a list of empty strings", _dumped({**GOOD, "input": [""] * 2048}))
    yield Case.json("the last string is empty", _dumped({**GOOD, "input": [*["a"] * 100, ""]}))


def _deep() -> Iterator[Case]:
    for depth in (100, 1000, 100_000, 2_000_000):
        lists = b"[" * depth + b"]" * depth
        objects = b'{"a":' * depth + b"1" + b"}" * depth
        yield Case.json(f"{depth} lists in each other", lists)
        yield Case.json(f"{depth} lists in input", b'{"model":"text-embedding","input":' + lists + b"}")
        yield Case.json(f"{depth} objects in each other", objects)
        yield Case.json(f"{depth} lists that nobody closes", b"[" * depth)
        yield Case.json(f"{depth} lists in a tensor", b'{"inputs":' + lists + b"}", path=INFER_PATH)
    yield Case.json("a byte order mark before it", b"\xef\xbb\xbf" + _dumped(GOOD), SERVED)
    yield Case.json("two byte order marks before it", b"\xef\xbb\xbf" * 2 + _dumped(GOOD))
    yield Case.json("a million empty lists", b'{"model":"text-embedding","input":[' + b"[]," * 1_000_000 + b"[]]}")
    yield Case.json("a million numbers", b'{"model":"text-embedding","input":[' + b"1," * 1_000_000 + b"1]}")
    yield Case.json("a million fields", b"{" + b",".join(b'"%d":0' % i for i in range(1_000_000)) + b"}")


def _ids() -> Iterator[Case]:
    wrong = {
        "beyond the vocabulary": [30522],
        "negative": [-1],
        "of 2^31": [2**31],
        "of 2^63": [2**63],
        "of 2^64": [2**64],
        "a fraction": [1.5],
        "a boolean": [1, True],
        "a string": [1, "1"],
        "nothing": [1, None],
        "too many": [101] * 65_537,
    }
    for name, ids in wrong.items():
        yield Case.own_ids(f"token ids: {name}", _dumped({**GOOD, "input": ids}))
        yield Case.own_ids(f"token ids in a list: {name}", _dumped({**GOOD, "input": [[101], ids]}))
        if name != "beyond the vocabulary":
            yield Case.json(f"OpenAI's token ids: {name}", _dumped({**GOOD, "input": ids}))
    yield Case.json("OpenAI's token ids: beyond the vocabulary", _dumped({**GOOD, "input": [100_256]}))
    for name, ids in {"only padding": [0] * 10, "only separators": [102] * 600, "the last of all": [30521]}.items():
        yield Case.own_ids(f"token ids: {name}", _dumped({**GOOD, "input": ids}), SERVED)
        yield Case.json(f"OpenAI's token ids: {name}", _dumped({**GOOD, "input": ids}), SERVED)


def _doubled() -> dict[str, bytes]:
    return {
        "the model twice": b'{"model":"image-embedding","model":"text-embedding","input":"a"}',
        "the input twice": b'{"model":"text-embedding","input":5,"input":"a"}',
        "the input twice, the second wrong": b'{"model":"text-embedding","input":"a","input":5}',
        "the same name in two spellings": rb'{"model":"text-embedding","\u006dodel":"nothing","input":"a"}',
    }


def _infer() -> Iterator[Case]:
    for name, junk in JUNK.items():
        yield Case.json(f"inputs is {name}", _dumped({"inputs": junk}), path=INFER_PATH)
        for field in ("name", "datatype", "shape", "data"):
            tensor = {**INFER["inputs"][0], field: junk}
            yield Case.json(f"a tensor's {field} is {name}", _dumped({"inputs": [tensor]}), path=INFER_PATH)
        tensor = {**INFER["inputs"][0], "parameters": {"binary_data_size": junk}}
        yield Case.json(f"binary_data_size is {name}", _dumped({"inputs": [tensor]}), path=INFER_PATH)
    for name, shape in {"huge": [10**12], "of 2^63": [2**63, 2], "none": [], "three": [1, 1, 1], "zero": [0]}.items():
        tensor = {**INFER["inputs"][0], "shape": shape}
        yield Case.json(f"a shape that is {name}", _dumped({"inputs": [tensor]}), path=INFER_PATH)
    yield Case.json("two tensors", _dumped({"inputs": INFER["inputs"] * 2}), path=INFER_PATH)
    yield Case.json("an unknown output", _dumped({**INFER, "outputs": [{"name": "x"}]}), path=INFER_PATH)
    yield Case.json("outputs of junk", _dumped({**INFER, "outputs": [5, None]}), EITHER, path=INFER_PATH)
    yield Case.json("parameters of junk", _dumped({**INFER, "parameters": 5}), EITHER, path=INFER_PATH)
