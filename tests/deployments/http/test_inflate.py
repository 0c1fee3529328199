"""Compressed bodies are unpacked, and never to more than a body may hold."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from backports import zstd

from tests.deployments.http.service import TEXT, application, serving
from tests.slow_links.gateway import memory

BODY = json.dumps({"model": "m", "input": TEXT}).encode()
MIB = 1 << 20
LIMIT = 4 * MIB


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip by its old name": ("x-gzip", gzip.compress),
    "gzip in capitals": ("GZIP", gzip.compress),
    "two members of gzip": ("gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
    "deflate": ("deflate", zlib.compress),
    "deflate without its head": ("deflate", raw_deflate),
    "zstd": ("zstd", zstd.compress),
    "two frames of zstd": ("zstd", lambda body: zstd.compress(body[:9]) + zstd.compress(body[9:])),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    with serving(application(tmp_path_factory.mktemp("inflate"), limits={"body_bytes": LIMIT}).app) as running:
        yield running


def send(client: httpx2.Client, coding: str, body: bytes) -> httpx2.Response:
    headers = {"content-type": "application/json", "content-encoding": coding}
    return client.post("/v1/embeddings", content=body, headers=headers)


def message(answer: httpx2.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    words: str = answer.json()["error"]["message"]
    return words


@pytest.mark.parametrize(("coding", "pack"), CODINGS.values(), ids=CODINGS)
def test_a_packed_body_is_the_body(client: httpx2.Client, coding: str, pack: Callable[[bytes], bytes]) -> None:
    plain = client.post("/v1/embeddings", content=BODY)
    packed = send(client, coding, pack(BODY))
    assert packed.status_code == 200, packed.text
    assert packed.json()["data"] == plain.json()["data"]


@pytest.mark.parametrize(("coding", "pack"), CODINGS.values(), ids=CODINGS)
def test_a_packed_body_that_is_cut_or_damaged_is_refused(
    client: httpx2.Client, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    whole = pack(BODY)
    for length in range(1, len(whole)):
        assert send(client, coding, whole[:length]).status_code == 400
    assert "is no" in message(send(client, coding, BODY), 400)
    assert "empty" in message(send(client, coding, b""), 400)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_a_body_that_unpacks_to_more_than_the_limit_is_refused_when_it_passes_it(
    client: httpx2.Client, coding: str
) -> None:
    pack = CODINGS[coding][1]
    fits = BODY + b" " * (LIMIT - len(BODY))
    assert send(client, coding, pack(fits)).status_code == 200
    assert "unpacked" in message(send(client, coding, pack(fits + b" ")), 413)
    assert "unpacked" in message(send(client, coding, pack(bytes(10 * LIMIT))), 413)


def bomb(coding: str, size: int) -> bytes:
    """``size`` zeros, packed without ever being there whole."""
    if coding == "zstd":
        packer = zstd.ZstdCompressor()
        parts = [packer.compress(bytes(MIB)) for _ in range(size // MIB)]
        return b"".join([*parts, packer.flush()])
    deflate = zlib.compressobj(1, wbits=31)
    parts = [deflate.compress(bytes(MIB)) for _ in range(size // MIB)]
    return b"".join([*parts, deflate.flush()])


@pytest.mark.slow
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_ten_gigabytes_of_zeros_are_refused_in_bounded_memory(tmp_path: Path, coding: str) -> None:
    packed = bomb(coding, 10_000 * MIB)
    with serving(application(tmp_path, limits={"body_bytes": 64 * MIB}).app) as client:
        assert client.post("/v1/embeddings", content=BODY).status_code == 200
        before = memory()
        for _ in range(3):
            assert "unpacked" in message(send(client, coding, packed), 413)
        assert memory() - before < 200 * MIB


def test_a_packed_body_in_a_packed_body_is_not_unpacked_twice(client: httpx2.Client) -> None:
    nested = gzip.compress(gzip.compress(BODY))
    assert "looks like gzip" in message(send(client, "gzip", nested), 400)
    answer = send(client, "gzip, gzip", nested)
    assert "accepted is one of gzip, deflate, zstd, identity" in message(answer, 415)
    assert answer.headers["accept-encoding"] == "gzip, deflate, zstd, identity"


def test_many_empty_streams_are_refused(client: httpx2.Client) -> None:
    assert "more than 100 streams" in message(send(client, "gzip", gzip.compress(b"") * 100_000), 400)
    assert "more than 100 streams" in message(send(client, "zstd", zstd.compress(b"") * 100_000), 400)


def test_a_window_of_a_gigabyte_is_refused(client: httpx2.Client) -> None:
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    packer = zstd.ZstdCompressor(options=options)
    packed = packer.compress(BODY) + packer.flush()
    assert send(client, "zstd", packed).status_code == 400
