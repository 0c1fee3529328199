"""The name under which every level of the cache keeps a vector."""

from __future__ import annotations

from hashlib import blake2b

from deployments.contract.items import Item


def cache_key(identity: str, item: Item) -> bytes:
    """Key of an input under the identity of a label, 32 bytes.

    A text, token ids and an image never share a key, nor do a text with a named prompt, with another one, and without.
    """
    digest = blake2b(identity.encode(), digest_size=32)
    if isinstance(item, str):
        digest.update(b"t" + item.encode("utf-8", "surrogatepass"))
    elif isinstance(item, bytes):
        digest.update(b"i" + item)
    elif isinstance(item, tuple):
        digest.update(b"n" + ",".join(map(str, item)).encode())
    else:
        digest.update(b"p" + blake2b(item.prompt.encode("utf-8", "surrogatepass")).digest())
        digest.update(cache_key("", item.content))
    return digest.digest()
