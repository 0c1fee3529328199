"""Bodies in every wrong encoding, media type and shape: the answer names the true fault, and what would be right."""

from __future__ import annotations

import base64
import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np
import pytest

from deployments.contract.embedding import Label
from deployments.contract.items import ItemError
from deployments.contract.reply import EncodeReply
from deployments.gateway.batch import Batch
from models.errors import InputError
from models.inputs.image_header import ImageLimits
from models.inputs.preparation import Framing
from models.modalities.image import Decode
from tests.deployments.http.service import HASH, NUMERICS, TEXT, application, serving
from tests.faults.hostile.pictures import encoded, scene

PNG = encoded(scene(60, 40), "PNG")
JPEG = encoded(scene(60, 40), "JPEG")
BODY = json.dumps({"model": "m", "input": TEXT}).encode()
INFER = json.dumps({"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [TEXT]}]}).encode()
ROUTES = {
    "/v1/embeddings": (BODY, "application/json"),
    "/v1/embeddings/image": (PNG, "image/png"),
    "/v2/models/m/infer": (INFER, "application/json"),
}
CODINGS = [  # names of HTTP's registry of content codings, without those that are unpacked here
    "br",
    "compress",
    "dcb",
    "dcz",
    "exi",
    "pack200-gzip",
    "aes128gcm",
    "gzip, identity",
    "a coding that nobody knows",
]


async def decoded(batch: Batch) -> EncodeReply:
    """What an encoder answers, as far as pictures decide it: its real decoding, and a vector for each that decodes."""
    items = batch.items
    rows = Decode(Framing(), ImageLimits())(items)
    errors = {i: ItemError(str(row), row.code) for i, row in enumerate(rows) if isinstance(row, InputError)}
    return EncodeReply(
        Label("image-embedding@1", HASH, numerics=NUMERICS),
        np.ones((len(items), 4), np.float32),
        [0] * len(items),
        errors,
    )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    running = application(tmp_path_factory.mktemp("wrong"))
    running.embeddings.registry.versions["image-embedding@1"].queue._send = decoded
    with serving(running.app) as found:
        yield found


def error_of(answer: httpx2.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    found = answer.json()["error"]
    error: dict[str, Any] = {"message": found, "code": None} if isinstance(found, str) else found  # a sentence on /v2
    assert not any(word in error["message"] for word in ("Traceback", "0x7f", ".py", "surrogates")), error["message"]
    return error


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_body_is_refused_with_the_encodings_that_are_accepted(
    client: httpx2.Client, path: str, coding: str
) -> None:
    body, kind = ROUTES[path]
    headers = {"content-type": kind, "content-encoding": coding}
    answer = client.post(path, content=body, headers=headers)
    error = error_of(answer, 415)
    assert answer.headers["accept-encoding"] == "gzip, deflate, zstd, identity"
    assert error["code"] in (None, "unsupported_content_encoding")
    assert "accepted is one of gzip, deflate, zstd, identity" in error["message"]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_a_body_that_says_it_is_as_it_is_is_taken(client: httpx2.Client, path: str, coding: str) -> None:
    body, kind = ROUTES[path]
    answer = client.post(path, content=body, headers={"content-type": kind, "content-encoding": coding})
    assert answer.status_code == 200, answer.text


@dataclass(frozen=True)
class Wrong:
    """A body, and words that its answer holds."""

    body: bytes
    says: tuple[str, ...]
    status: int = 400
    path: str = "/v1/embeddings"
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


def image(text: str) -> bytes:
    return json.dumps({"model": "image-embedding", "input": text}).encode()


def form(name: str, content: bytes, *, filename: bool = True) -> Wrong:
    head = f'--b\r\ncontent-disposition: form-data; name="{name}"' + ('; filename="x"' if filename else "")
    body = head.encode() + b"\r\n\r\n" + content + b"\r\n--b--\r\n"
    return Wrong(body, (), 200, "/v1/embeddings/image", {"content-type": "multipart/form-data; boundary=b"})


def picture(body: bytes, *says: str, kind: str = "image/png", status: int = 400) -> Wrong:
    return Wrong(body, says, status, "/v1/embeddings/image", {"content-type": kind})


ACCENTED = json.dumps({"model": "m", "input": "café au lait"}, ensure_ascii=False)
BODIES = {
    "nothing": Wrong(b"", ("empty", "send a JSON object")),
    "Latin-1": Wrong(ACCENTED.encode("latin-1"), ("byte 0xE9 at position 28", "'é'", "UTF-8")),
    "Windows' own letters": Wrong(ACCENTED.replace("é", "\u201c").encode("cp1252"), ("byte 0x93", "UTF-8")),
    "UTF-16": Wrong(BODY.decode().encode("utf-16"), ("UTF-16", "in UTF-8")),
    "UTF-16, little-endian": Wrong(BODY.decode().encode("utf-16-le"), ("UTF-16", "in UTF-8")),
    "UTF-16, big-endian": Wrong(BODY.decode().encode("utf-16-be"), ("UTF-16", "in UTF-8")),
    "UTF-32": Wrong(BODY.decode().encode("utf-32"), ("UTF-32", "in UTF-8")),
    "half a surrogate pair": Wrong(b'{"input": "\xed\xa0\x80"}', ("half of a surrogate pair",)),
    "an escape of half a pair": Wrong(b'{"input": "\\ud800"}', ("surrogate in string",)),
    "a character cut off": Wrong(b'{"input": "caf\xc3', ("byte 0xC3", "UTF-8")),
    "gzip without a word": Wrong(gzip.compress(BODY), ("looks like gzip", "uncompressed")),
    "zlib without a word": Wrong(zlib.compress(BODY), ("looks like zlib", "uncompressed")),
    "Zstandard without a word": Wrong(b"\x28\xb5\x2f\xfd\x04", ("looks like Zstandard", "uncompressed")),
    "a PNG": Wrong(PNG, ("looks like a PNG", "/v1/embeddings/image")),
    "a JPEG": Wrong(JPEG, ("looks like a JPEG", "/v1/embeddings/image")),
    "a PDF": Wrong(b"%PDF-1.7", ("looks like a PDF", "send a JSON object")),
    "XML": Wrong(b"<?xml version='1.0'?>", ("looks like XML", "send a JSON object")),
    "a form": Wrong(b"model=m&input=hello", ("line 1 column 1",)),
    "a form of pictures": Wrong(b"--b\r\n", ("looks like a multipart body", "/v1/embeddings/image")),
    "single quotes": Wrong(b"{'model': 'm'}", ("string key", "line 1 column 2")),
    "a comma too many": Wrong(b'{"model": "m",}', ("trailing comma",)),
    "NaN": Wrong(b'{"dimensions": NaN}', ("line 1 column 16",)),
    "two documents": Wrong(BODY + b"\n" + BODY, ("after document",)),
    "half a document": Wrong(BODY[:-1], ("end of data",)),
    "a thousand levels": Wrong(b'{"a":' * 2000, ("depth limit",)),
    "a list": Wrong(b"[1]", ("is a list", "JSON object")),
    "a string": Wrong(b'"hello"', ("is a string", "JSON object")),
    "null": Wrong(b"null", ("is null", "JSON object")),
    "base64 of a text": Wrong(image("aGVsbG8gd29ybGQ="), ("looks like text",)),
    "a text for the pictures' model": Wrong(image("a cat"), ("character ' ' at position 1", "send base64")),
    "base64 of base64": Wrong(
        image(base64.b64encode(base64.b64encode(PNG)).decode()), ("looks like base64 of an image",)
    ),
    "base64 that was cut": Wrong(image(base64.b64encode(PNG).decode()[:801]), ("cut off",)),
    "base64 of a picture that was cut": Wrong(
        image(base64.b64encode(PNG[:400]).decode()), ("PNG", "cut off after 400")
    ),
    "a data URI without base64": Wrong(image("data:image/png,abc"), ("must begin with", "'data:image/png'")),
    "a data URI of text": Wrong(image("data:text/plain;base64,aGk="), ("must begin with", "'data:text/plain;base64'")),
    "a data URI without a comma": Wrong(image("data:image/png;base64"), ("must begin with",)),
    "a cut picture": picture(PNG[:-30], "PNG", "cut off", "send the whole file"),
    "a cut JPEG": picture(JPEG[:-30], "JPEG", "cut off", "send the whole file"),
    "base64 as a picture": picture(base64.b64encode(PNG), "base64 of an image", "only inside JSON"),
    "HEIC": picture(b"\0\0\0\x24ftypheic\0\0\0\0", "HEIC", "accepted: JPEG", kind="image/heic"),
    "no picture at all": picture(b"", "the body is empty"),
    "a picture as a text": picture(PNG, "send image/jpeg", kind="text/plain", status=415),
    "JSON for pictures": picture(BODY, "send image/jpeg", kind="application/json", status=415),
    "a picture as JSON": Wrong(PNG, ("application/json",), 415, headers={"content-type": "image/png"}),
}


@pytest.mark.parametrize("wrong", BODIES.values(), ids=BODIES.keys())
def test_a_wrong_body_is_told_what_is_wrong_with_it(client: httpx2.Client, wrong: Wrong) -> None:
    answer = client.post(wrong.path, content=wrong.body, headers=wrong.headers)
    message = error_of(answer, wrong.status)["message"]
    assert all(words in message for words in wrong.says), message


FINE = {
    "JSON with a byte order mark": Wrong(codecs.BOM_UTF8 + BODY, ()),
    "base64 in lines": Wrong(image(base64.encodebytes(PNG).decode()), ()),
    "base64 for URLs, unpadded": Wrong(image(base64.urlsafe_b64encode(PNG).decode().rstrip("=")), ()),
    "a data URI in lines": Wrong(image("data:image/png;base64,\n" + base64.encodebytes(PNG).decode()), ()),
    "a data URI with percent signs": Wrong(
        image("data:image/png;base64," + base64.b64encode(PNG).decode().replace("+", "%2B").replace("=", "%3D")), ()
    ),
    "a form": form("file", PNG),
    "a form without a file's name": form("file", PNG, filename=False),
}


@pytest.mark.parametrize("fine", FINE.values(), ids=FINE.keys())
def test_a_body_that_has_one_meaning_is_taken(client: httpx2.Client, fine: Wrong) -> None:
    answer = client.post(fine.path, content=fine.body, headers=fine.headers)
    assert answer.status_code == 200, answer.text


def test_a_form_whose_pictures_have_another_name_is_told_both_names(client: httpx2.Client) -> None:
    sent = form("image", PNG)
    message = error_of(client.post(sent.path, content=sent.body, headers=sent.headers), 400)["message"]
    assert "'file'" in message
    assert "'image'" in message
