"""The layer that says to browsers which pages of other origins may call this service: none, unless the configuration names them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ANY: Final = "*"
METHODS: Final = b"GET, HEAD, POST"
# What a page may read of an answer beside its body.
EXPOSED: Final = (
    b"x-model, x-model-hash, x-model-numerics, x-model-weights, x-request-id, x-cache, x-truncated, x-truncated-by, "
    b"x-dimensions, x-output-dtype, retry-after"
)
REMEMBERED: Final = b"600"  # seconds that a browser may keep the answer to its question


class Cors:
    """Answers browsers' questions before requests (preflights), and marks answers that a page may read."""

    def __init__(self, app: ASGIApp, origins: Callable[[], Collection[str]]) -> None:
        """Wrap ``app``; ``origins`` gives those that may call."""
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; a preflight is answered here, since browsers send it without a key."""
        origins = self._origins()
        if not origins or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is None or not (ANY in origins or origin.decode("latin-1") in origins):
            await self._app(scope, receive, send)
            return
        common = [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            asked = headers.get(b"access-control-request-headers", b"")
            allowed = [
                (b"access-control-allow-methods", METHODS),
                (b"access-control-allow-headers", asked),
                (b"access-control-max-age", REMEMBERED),
            ]
            await send({"type": "http.response.start", "status": 204, "headers": [*common, *allowed]})
            await send({"type": "http.response.body", "body": b""})
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *common, (b"access-control-expose-headers", EXPOSED)]
            await send(message)

        await self._app(scope, receive, marked)
