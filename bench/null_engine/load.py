"""Clients that always have a request under way, each with bodies of its own."""

from __future__ import annotations

import asyncio
import itertools
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from bench.loads.pictures import scenes

TEXTS, PICTURES = 256, 32  # of one request of the batch loads
WORDS = [
    "red",
    "running",
    "shoe",
    "with",
    "white",
    "sole",
    "for",
    "wet",
    "autumn",
    "roads",
    "and",
    "long",
    "hills",
    "size",
]
BOUNDARY = "0d4f6a3c1b2e4f5a9c8d7e6f5a4b3c2d"  # as long as httpx makes them


@dataclass(frozen=True)
class Load:
    """Requests of one form."""

    modality: str
    items: int  # of a request
    clients: int
    path: str
    content_type: str
    apart: bool = False  # a decoder of its own prepares them

    def requests(self, client: int) -> Iterator[bytes]:
        """Requests whose inputs no other has."""
        for number in itertools.count(client * 1_000_000_000):
            body, json_bytes = self._body(number * self.items)
            tensors = f"inference-header-content-length: {json_bytes}\r\n" if json_bytes else ""
            head = f"POST {self.path} HTTP/1.1\r\nhost: x\r\ncontent-type: {self.content_type}\r\n{tensors}content-length: {len(body)}\r\n\r\n"
            yield head.encode() + body

    def _body(self, first: int) -> tuple[bytes, int]:
        """A body, and how many bytes of it are JSON before binary tensors."""
        numbers = range(first, first + self.items)
        if self.modality == "text":
            texts = [f"{' '.join(WORDS[n % 3 : n % 3 + 8])} {n}" for n in numbers]
            return orjson.dumps({"model": "text-embedding", "input": texts, "encoding_format": "base64"}), 0
        pictures = [scenes()[n % len(scenes())].raw(n) for n in numbers]
        if self.items == 1:
            return pictures[0], 0
        if self.path == INFER:
            binary = b"".join(part for picture in pictures for part in (struct.pack("<I", len(picture)), picture))
            tensor: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [len(pictures)]}
            tensor["parameters"] = {"binary_data_size": len(binary)}
            asked = {"name": "embedding", "parameters": {"binary_data": True}}
            document = orjson.dumps({"inputs": [tensor], "outputs": [asked]})
            return document + binary, len(document)
        head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'.encode()
        return b"".join(head + picture + b"\r\n" for picture in pictures) + f"--{BOUNDARY}--\r\n".encode(), 0


INFER = "/v2/models/image-embedding/infer"
IMAGE = "/v1/embeddings/image?encoding_format=base64"
LOADS = {
    "pictures, raw body": Load("image", 1, 64, IMAGE, "image/jpeg"),
    f"pictures, {PICTURES} in a form": Load("image", PICTURES, 8, IMAGE, f"multipart/form-data; boundary={BOUNDARY}"),
    f"pictures, {PICTURES} in a binary tensor": Load("image", PICTURES, 8, INFER, "application/octet-stream"),
    f"pictures, {PICTURES} in a form, through a decoder": Load(
        "image", PICTURES, 8, IMAGE, f"multipart/form-data; boundary={BOUNDARY}", apart=True
    ),
    f"texts, {TEXTS} a request": Load("text", TEXTS, 8, "/v1/embeddings", "application/json"),
}


async def run(load: Load, port: int, seconds: float) -> int:
    """How many inputs were embedded in that time, within answers that are all 200."""
    until = time.monotonic() + seconds
    done = await asyncio.gather(*(_client(load, port, number, until) for number in range(load.clients)))
    return sum(done) * load.items


async def _client(load: Load, port: int, number: int, until: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    done = 0
    for request in load.requests(number):
        if time.monotonic() > until:
            break
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
        content = await reader.readexactly(length)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{answer!r:.300} {content!r:.300}")
        done += 1
    writer.close()
    return done
