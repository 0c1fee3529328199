"""What a gateway refuses because it works on enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.config.limits import Limits
from deployments.http.middleware.admission import Admission
from deployments.http.places import Places
from deployments.http.transfers import Transfers
from models.errors import UnavailableError

UNREAD: Any = None  # a refused request is not read: asking for its body would fail


def admission(app: ASGIApp, limit: Callable[[], int]) -> Admission:
    return Admission(app, Places(limit), Transfers(Limits, lambda _: None))


async def there() -> Message:
    """A request that has arrived whole."""
    return {"type": "http.request", "body": b"{}", "more_body": False}


async def on_its_way() -> Message:
    """One that has not."""
    await asyncio.Event().wait()
    raise AssertionError


class Held:
    """An application whose requests stay open until they are let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.seen = 0

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        self.seen += 1
        await receive()
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def ask(admission: Admission, path: str = "/v1/embeddings", receive: Receive = there) -> int:
    """The status of an answer."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await admission({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send)
    return int(sent[0]["status"])


async def test_beyond_the_limit_requests_are_refused_until_one_is_over() -> None:
    app = Held()
    layer = admission(app, lambda: 2)
    held = [asyncio.ensure_future(ask(layer)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match=r"2 requests are open \(limit 2\)"):
        await ask(layer, receive=UNREAD)
    assert app.seen == 2
    app.go.set()
    assert [await one for one in held] == [200, 200]
    assert await ask(layer) == 200


async def test_requests_that_have_not_arrived_take_no_place() -> None:
    app = Held()
    layer = admission(app, lambda: 2)
    slow = [asyncio.ensure_future(ask(layer, receive=on_its_way)) for _ in range(20)]
    await asyncio.sleep(0)
    app.go.set()
    assert await ask(layer) == 200
    for one in slow:
        one.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    assert app.seen == 21


async def test_a_new_limit_counts_from_the_next_request_on() -> None:
    app, limits = Held(), [1]
    layer = admission(app, lambda: limits[-1])
    first = asyncio.ensure_future(ask(layer))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError):
        await ask(layer)
    limits.append(2)
    app.go.set()
    assert [await ask(layer), await first] == [200, 200]


@pytest.mark.parametrize("path", ["/health/live", "/v1/models", "/metrics", "/-/healthz"])
async def test_what_tells_of_the_service_is_never_refused(path: str) -> None:
    app = Held()
    layer = admission(app, lambda: 1)
    first = asyncio.ensure_future(ask(layer))
    await asyncio.sleep(0)
    app.go.set()
    assert await ask(layer, path) == 200
    await first


async def test_a_request_that_ends_badly_is_not_counted_for_ever() -> None:
    class Broken:
        async def __call__(self, _: Scope, __: Receive, ___: Send) -> None:
            raise RuntimeError("a defect")

    layer = admission(Broken(), lambda: 1)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="a defect"):
            await ask(layer)
