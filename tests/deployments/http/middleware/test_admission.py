"""What a gateway refuses before it reads it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from starlette.types import Message, Receive, Scope, Send

from deployments.http.middleware.admission import ANY, Admission
from deployments.observability.metrics import GatewayMetrics

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


async def ask(admission: Admission, path: str = "/v1/embeddings") -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await admission({"type": "http", "method": "POST", "path": path, "headers": []}, UNREAD, send)
    return sent


async def test_beyond_the_limit_requests_are_refused_until_one_is_over() -> None:
    app, metrics = Held(), GatewayMetrics()
    admission = Admission(app, metrics)
    admission.limit = 2
    held = [asyncio.ensure_future(ask(admission)) for _ in range(2)]
    await asyncio.sleep(0)
    start, body = await ask(admission)
    headers = dict(start["headers"])
    assert start["status"] == 503
    assert headers[b"retry-after"] == b"1"
    assert headers[b"x-content-type-options"] == b"nosniff"
    error = orjson.loads(body["body"])["error"]
    assert "2 requests are open (limit 2)" in error["message"]
    assert error["code"] == "unavailable"
    assert app.seen == 2
    assert metrics.requests._pending == {(*ANY, "503"): 1}
    assert metrics.shed._pending == {(*ANY, "capacity"): 1}
    app.go.set()
    assert [(await one)[0]["status"] for one in held] == [200, 200]
    assert (await ask(admission))[0]["status"] == 200


@pytest.mark.parametrize("path", ["/health/live", "/v1/models", "/metrics", "/-/healthz"])
async def test_what_tells_of_the_service_is_never_refused(path: str) -> None:
    app = Held()
    admission = Admission(app, GatewayMetrics())
    admission.limit = 1
    first = asyncio.ensure_future(ask(admission))
    await asyncio.sleep(0)
    app.go.set()
    assert (await ask(admission, path))[0]["status"] == 200
    await first


async def test_a_request_that_ends_badly_is_not_counted_for_ever() -> None:
    class Broken:
        async def __call__(self, _: Scope, __: Receive, ___: Send) -> None:
            raise RuntimeError("a defect")

    admission = Admission(Broken(), GatewayMetrics())
    admission.limit = 1
    for _ in range(3):
        with pytest.raises(RuntimeError, match="a defect"):
            await ask(admission)
