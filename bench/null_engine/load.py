"""Clients that always have a request under way, each with bodies of its own."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

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
BOUNDARY = "picture"


@dataclass(frozen=True)
class Load:
    """Requests of one form."""

    modality: str
    items: int  # of a request
    clients: int
    path: str
    content_type: str

    def bodies(self, client: int) -> Iterator[bytes]:
        """Bodies whose inputs no other has."""
        for number in itertools.count(client * 1_000_000_000):
            yield self._body(number * self.items)

    def _body(self, first: int) -> bytes:
        numbers = range(first, first + self.items)
        if self.modality == "text":
            texts = [f"{' '.join(WORDS[n % 3 : n % 3 + 8])} {n}" for n in numbers]
            return orjson.dumps({"model": "text-embedding", "input": texts, "encoding_format": "base64"})
        pictures = [scenes()[n % len(scenes())].raw(n) for n in numbers]
        if self.items == 1:
            return pictures[0]
        head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'.encode()
        return b"".join(head + picture + b"\r\n" for picture in pictures) + f"--{BOUNDARY}--\r\n".encode()


IMAGE = "/v1/embeddings/image?encoding_format=base64"
LOADS = {
    "pictures, raw body": Load("image", 1, 64, IMAGE, "image/jpeg"),
    f"pictures, {PICTURES} in a form": Load("image", PICTURES, 8, IMAGE, f"multipart/form-data; boundary={BOUNDARY}"),
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
    for body in load.bodies(number):
        if time.monotonic() > until:
            break
        head = f"POST {load.path} HTTP/1.1\r\nhost: x\r\ncontent-type: {load.content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        content = await reader.readexactly(length)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{answer!r:.300} {content!r:.300}")
        done += 1
    writer.close()
    return done
