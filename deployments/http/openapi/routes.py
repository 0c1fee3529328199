"""The adapter: the document as JSON and as a page."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from deployments.auth.authenticator import Authenticator
from deployments.http.openapi.document import document
from deployments.http.openapi.page import POLICY, page


def routes(auth: Authenticator) -> list[Route]:
    """The routes of this adapter; the answers are made once, without and with API keys."""
    documents = [document(keys=keys) for keys in (False, True)]
    encoded, pages = [orjson.dumps(each) for each in documents], [page(each) for each in documents]

    async def openapi(_: Request) -> Response:
        return Response(encoded[auth.required], 200, None, "application/json")

    async def docs(_: Request) -> Response:
        return HTMLResponse(pages[auth.required], headers={"content-security-policy": POLICY})

    return [Route("/openapi.json", openapi), Route("/docs", docs)]
