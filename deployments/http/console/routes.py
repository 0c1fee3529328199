"""The adapter: a page and its files, from the package."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).with_name("static")
PAGE = "console.html"
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


def routes() -> list[Route]:
    """The routes of this adapter."""

    async def page(_: Request) -> Response:
        return _answer(PAGE)

    async def file(request: Request) -> Response:
        name: str = request.path_params["file"]
        if name not in FILES:
            raise HTTPException(404)
        return _answer(name)

    return [Route("/console", page), Route("/console/{file}", file)]


def _answer(name: str) -> Response:
    headers = {"content-type": MEDIA_TYPES[Path(name).suffix], "content-security-policy": POLICY}
    return Response(FILES[name], 200, headers)
