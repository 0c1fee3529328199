"""The name under which every level of the cache keeps a vector."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from blake3 import blake3

from deployments.contract.items import Item


def cache_key(identity: str, item: Item) -> bytes:
    """Key of an input under the identity of a label, 32 bytes.

    A text, token ids and an image never share a key, nor do a text with a named prompt, with another one, and without.
    """
    if isinstance(item, bytes | memoryview):
        return blake3(item, key=_key_of_pictures(identity)).digest()
    digest = blake2b(identity.encode(), digest_size=32)
    if isinstance(item, str):
        digest.update(b"t" + item.encode("utf-8", "surrogatepass"))
    elif isinstance(item, tuple):
        digest.update(b"n" + ",".join(map(str, item)).encode())
    else:
        digest.update(b"p" + blake2b(item.prompt.encode("utf-8", "surrogatepass")).digest())
        digest.update(cache_key("", item.content))
    return digest.digest()


@lru_cache(maxsize=64)
def _key_of_pictures(identity: str) -> bytes:
    """What pictures are hashed with under an identity.

    By BLAKE3, which takes 10 µs for 60 KB where BLAKE2 takes 45. Both withstand whoever would like two inputs to share a key.
    """
    return blake2b(identity.encode() + b"i", digest_size=32).digest()
