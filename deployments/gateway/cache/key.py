"""The name under which every level of the cache keeps a vector."""

from __future__ import annotations

from hashlib import blake2b

from deployments.contract.items import Item


def cache_key(artifact_hash: str, item: Item) -> bytes:
    """Key of an input under an artifact, 32 bytes. A text, token ids and an image never share a key."""
    digest = blake2b(artifact_hash.encode(), digest_size=32)
    if isinstance(item, str):
        digest.update(b"t" + item.encode("utf-8", "surrogatepass"))
    elif isinstance(item, bytes):
        digest.update(b"i" + item)
    else:
        digest.update(b"n" + ",".join(map(str, item)).encode())
    return digest.digest()
