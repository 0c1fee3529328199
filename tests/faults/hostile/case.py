"""One hostile input and what may come of it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.wire import request

REFUSED = frozenset({400, 404, 405, 408, 411, 413, 414, 415, 431})
SERVED = frozenset({200})
EITHER = REFUSED | SERVED  # decoders differ in what they still take for an image
JSON = (("content-type", "application/json"),)


@dataclass(frozen=True)
class Case:
    """Bytes to send."""

    name: str
    parts: tuple[bytes, ...]
    statuses: frozenset[int] = REFUSED
    entrance: bool = False  # broken HTTP: HAProxy itself may answer or hang up, in a shape of its own
    unread: bool = False  # the answer has no body to look at

    @classmethod
    def json(cls, name: str, body: bytes, statuses: frozenset[int] = REFUSED, path: str = "/v1/embeddings") -> Case:
        """A body sent as JSON."""
        return cls(name, (request(body, path),), statuses)

    @classmethod
    def own_ids(cls, name: str, body: bytes, statuses: frozenset[int] = REFUSED) -> Case:
        """A body sent as JSON, whose token ids are of the model's own vocabulary."""
        return cls(name, (request(body, "/v1/embeddings", headers=(*JSON, ("x-token-vocabulary", "model"))),), statuses)
