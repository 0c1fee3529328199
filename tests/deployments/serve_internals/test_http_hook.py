"""The outermost layer, called as Serve's server calls it."""

from __future__ import annotations

import asyncio
import pickle
import re
import uuid

import pytest
from starlette.types import Message, Receive, Scope, Send

from deployments.serve_internals import http_shortcut
from deployments.serve_internals.http_hook import Envelope

pytestmark = pytest.mark.timeout(150)  # instead of minutes, when an answer never comes

UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class App:
    """Notes what it was asked and answers."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.hold: asyncio.Event | None = None
        self.cancelled = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await receive()
        try:
            if self.hold is not None:
                await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-model", b"m@1")]})
        await send({"type": "http.response.body", "body": b"vectors"})


@pytest.fixture
def shortcut(monkeypatch: pytest.MonkeyPatch) -> http_shortcut.Shortcut:
    fresh = http_shortcut.Shortcut()
    monkeypatch.setattr(http_shortcut, "SHORTCUT", fresh)
    return fresh


async def ask(app: Envelope, path: str, *headers: tuple[bytes, bytes], gone: bool = False) -> list[Message]:
    sent: list[Message] = []
    arrived = [{"type": "http.request", "body": b"", "more_body": False}]
    never = asyncio.Event()

    async def receive() -> Message:
        if arrived:
            return arrived.pop()
        if not gone:
            await never.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": list(headers), "root_path": ""}
    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize(
    ("path", "directly"),
    [
        ("/v1/embeddings", True),
        ("/v1/embeddings/image", True),
        ("/v2/models/text-embedding/infer", True),
        ("/v1/models", False),
        ("/health/ready", False),
        ("/-/healthz", False),
        ("/-/routes", False),
    ],
)
async def test_requests_for_vectors_alone_go_to_the_gateway_directly(
    shortcut: http_shortcut.Shortcut, path: str, directly: bool
) -> None:
    gateway, serve = App(), App()
    shortcut.open(gateway)
    assert (await ask(Envelope(serve), path))[1]["body"] == b"vectors"
    assert (len(gateway.scopes), len(serve.scopes)) == ((1, 0) if directly else (0, 1))


async def test_without_a_gateway_or_on_another_loop_everything_goes_through_serve(
    shortcut: http_shortcut.Shortcut,
) -> None:
    gateway, serve = App(), App()

    async def opened() -> None:
        shortcut.open(gateway)

    await ask(Envelope(serve), "/v1/embeddings")
    await asyncio.to_thread(asyncio.run, opened())
    await ask(Envelope(serve), "/v1/embeddings")
    assert (len(gateway.scopes), len(serve.scopes)) == (0, 2)


async def test_what_serve_gets_can_be_sent_to_another_process(shortcut: http_shortcut.Shortcut) -> None:
    """Its proxies have the hook too, and hand requests to replicas as pickles."""
    app = App()
    await ask(Envelope(app), "/v1/embeddings")
    assert pickle.loads(pickle.dumps(app.scopes[0])) == app.scopes[0]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [((b"x-request-id", b"order-7"), b"order-7"), ((b"x-request-id", b"a b\x00"), None), ((b"accept", b"*/*"), None)],
    ids=["the caller's is kept", "a wrong one is replaced", "a missing one is made"],
)
async def test_every_request_has_an_id_in_its_scope_and_its_answer(
    shortcut: http_shortcut.Shortcut, sent: tuple[bytes, bytes], kept: bytes | None
) -> None:
    gateway = App()
    shortcut.open(gateway)
    start = (await ask(Envelope(App()), "/v1/embeddings", sent))[0]
    (answered,) = [value for name, value in start["headers"] if name == b"x-request-id"]
    (seen,) = [value for name, value in gateway.scopes[0]["headers"] if name == b"x-request-id"]
    assert answered == seen
    assert answered == kept if kept else UUID.fullmatch(answered)


async def test_ids_differ(shortcut: http_shortcut.Shortcut) -> None:
    shortcut.open(App())
    answers = [await ask(Envelope(App()), "/v1/embeddings") for _ in range(50)]
    ids = {value for answer in answers for name, value in answer[0]["headers"] if name == b"x-request-id"}
    assert len(ids) == 50
    assert all(uuid.UUID(value.decode()) for value in ids)


async def test_a_request_that_nobody_waits_for_is_cancelled(shortcut: http_shortcut.Shortcut) -> None:
    gateway = App()
    gateway.hold = asyncio.Event()
    shortcut.open(gateway)
    assert await ask(Envelope(App()), "/v1/embeddings", gone=True) == []
    assert gateway.cancelled


async def test_ten_looks_end_every_request_that_nobody_waits_for_and_no_other(shortcut: http_shortcut.Shortcut) -> None:
    gateway = App()
    gateway.hold = asyncio.Event()
    shortcut.open(gateway)
    envelope = Envelope(App())
    waiting = [asyncio.create_task(ask(envelope, "/v1/embeddings")) for _ in range(100)]
    for _ in range(10):
        assert await asyncio.gather(*(ask(envelope, "/v1/embeddings", gone=True) for _ in range(10))) == [[]] * 10
    assert not any(task.done() for task in waiting)
    gateway.hold.set()
    assert all(await asyncio.gather(*waiting))
