"""Head and body of an answer in one write.

Uvicorn writes the head of an answer as soon as it is known, and uvloop sends at once what it is given. That makes two
segments for each answer, wakes HAProxy twice, and takes a tenth of the gateway's time for a request.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from starlette.types import Send

from deployments.serve_internals.seams import SEAMS


class Gathering:
    """A transport that keeps what it is given until ``flush`` or ``close``."""

    def __init__(self, transport: Any) -> None:
        """Stand before ``transport``."""
        self._transport = transport
        self._kept: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep ``data`` for the next flush."""
        self._kept.append(data)

    def flush(self) -> None:
        """Write what was kept, together."""
        kept, self._kept = self._kept, []
        if kept:
            self._transport.writelines(kept)

    def close(self) -> None:
        """Write what was kept and close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's."""
        return getattr(self._transport, name)


def gather(send: Send) -> Gathering | None:
    """Keep what uvicorn writes from now on for the request that ``send`` answers.

    Returns:
        None where ``send`` is not uvicorn's: the answer then leaves in two writes.
    """
    cycle: Any = getattr(send, "__self__", None)
    if not isinstance(cycle, _uvicorns()):
        return None
    SEAMS.uses["single_write"] += 1
    gathering = Gathering(cycle.transport)
    cycle.transport = gathering
    return gathering


@cache
def _uvicorns() -> Any:
    """Uvicorn's writer of answers, imported while the seam is on alone: a later uvicorn may lack it."""
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    return RequestResponseCycle
