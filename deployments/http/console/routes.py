"""The adapter: a page and its files, from the package."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.auth.authenticator import Authenticator

FOLDER = Path(__file__).with_name("static")
PAGE = "console.html"
KEY = "/console/key"  # what the key of a request may do; none of the files, and not open
ASKS = b'<body class="asks-for-key">'
CLIENT = "embedserve.client"  # as ``middleware.auth`` leaves it in a request's scope, which imports the paths from here
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
# Everything comes from this service, and nothing stands in the page itself: a text that somebody embeds can start no script.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
FILES = {file.name: file.read_bytes() for file in FOLDER.iterdir() if file.suffix in MEDIA_TYPES}
PATHS = frozenset({"/console", *(f"/console/{name}" for name in FILES)})


def routes(auth: Authenticator) -> list[Route]:
    """The routes of this adapter; the page knows beforehand whether a key is needed, so that it asks for nothing in vain."""

    async def page(_: Request) -> Response:
        return _answer(PAGE, FILES[PAGE].replace(b"<body>", ASKS) if auth.required else FILES[PAGE])

    async def key(request: Request) -> Response:
        name = request.scope.get(CLIENT)  # which Authentication let in
        may = {"required": auth.required, "name": name, "scopes": auth.scopes(name) if name else []}
        return JSONResponse(may, headers={"cache-control": "no-store"})

    async def file(request: Request) -> Response:
        name: str = request.path_params["file"]
        if name not in FILES:
            raise HTTPException(404)
        return _answer(name, FILES[name])

    return [
        Route("/console", page),
        Route(KEY, key, include_in_schema=False),
        Route("/console/{file}", file),
    ]


def _answer(name: str, content: bytes) -> Response:
    headers = {"content-type": MEDIA_TYPES[Path(name).suffix], "content-security-policy": POLICY}
    return Response(content, 200, headers)
