"""What a gateway refuses before it reads it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from deployments.http.middleware.admission import Admission
from models.errors import UnavailableError

UNREAD: Any = None  # a refused request is not read: asking for its body would fail


class Held:
    """An application whose requests stay open until they are let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.seen = 0

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        self.seen += 1
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})


async def ask(admission: Admission, path: str = "/v1/embeddings") -> int:
    """The status of an answer."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await admission({"type": "http", "method": "POST", "path": path, "headers": []}, UNREAD, send)
    return int(sent[0]["status"])


async def test_beyond_the_limit_requests_are_refused_until_one_is_over() -> None:
    app = Held()
    admission = Admission(app, lambda: 2)
    held = [asyncio.ensure_future(ask(admission)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match=r"2 requests are open \(limit 2\)"):
        await ask(admission)
    assert app.seen == 2
    app.go.set()
    assert [await one for one in held] == [200, 200]
    assert await ask(admission) == 200


async def test_a_new_limit_counts_from_the_next_request_on() -> None:
    app, limits = Held(), [1]
    admission = Admission(app, lambda: limits[-1])
    first = asyncio.ensure_future(ask(admission))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError):
        await ask(admission)
    limits.append(2)
    app.go.set()
    assert [await ask(admission), await first] == [200, 200]


@pytest.mark.parametrize("path", ["/health/live", "/v1/models", "/metrics", "/-/healthz"])
async def test_what_tells_of_the_service_is_never_refused(path: str) -> None:
    app = Held()
    admission = Admission(app, lambda: 1)
    first = asyncio.ensure_future(ask(admission))
    await asyncio.sleep(0)
    app.go.set()
    assert await ask(admission, path) == 200
    await first


async def test_a_request_that_ends_badly_is_not_counted_for_ever() -> None:
    class Broken:
        async def __call__(self, _: Scope, __: Receive, ___: Send) -> None:
            raise RuntimeError("a defect")

    admission = Admission(Broken(), lambda: 1)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="a defect"):
            await ask(admission)
