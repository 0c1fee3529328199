"""Whatever a stranger puts into any field of any route is answered, in the shape of its protocol, and never a defect.

Routes are the application's own list; fields and headers are those that a route is seen to look for: a new one is tried without a
line here.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.routing import Route

from deployments.auth.authenticator import Authenticator
from deployments.http.app import routing
from deployments.http.error_shapes import body_of
from deployments.http.middleware.plain_paths import PAGES
from tests.deployments.http.in_process import Asked
from tests.deployments.http.service import Application, all_ready, application
from tests.deployments.http.strangers import Case, cases
from tests.faults.wire import Answer

FEW = 400  # of a quarter of a million
ANSWERED = {200, 204, 304, 400, 404, 405, 408, 413, 415, 501, 503, 504}
ERROR = {"message": "", "type": "", "param": "", "code": ""}
LONGEST = 600  # characters of a message


@pytest.fixture
def app(tmp_path: Path) -> Application:
    """An application whose models are ready, and embed nothing that is not cached."""
    towers = {"both": {"text": "m", "image": "image-embedding"}}
    return all_ready(application(tmp_path, queue={"timeout_s": 0.001}, towers=towers))


def wrong(asked: Asked, answer: Answer) -> str | None:
    """Why an answer is not one of the protocol of its path; nothing where it is."""
    if answer.status == 307:
        return None if asked.path.rstrip("/") in PAGES else f"a page is at {answer.headers['location']}"
    if answer.status not in ANSWERED:
        return f"{answer.status}: {answer.body[:200]!r}"
    if answer.status < 400 or asked.method == "HEAD":
        return None
    if answer.headers["content-type"] != "application/json":
        return f"content type {answer.headers['content-type']}"
    document = orjson.loads(answer.body)
    if names(document) != names(body_of(asked.method, asked.path, ERROR)):
        return f"another shape: {answer.body[:200]!r}"
    told = document.get("error", document.get("message"))
    message = told if isinstance(told, str) else told["message"]
    inside = [word for word in ("Traceback", ".py", "NoneType", " dict", " None ") if word in message]
    fit = message and len(message) < LONGEST and not inside
    return None if fit else f"a message that is not fit to be shown: {message[:200]!r}"


def names(document: Any) -> Any:
    """The names in an object of JSON, and in the objects in it."""
    return {name: names(value) for name, value in document.items()} if isinstance(document, dict) else None


async def every_case(app: Application) -> list[Case]:
    """Those of every route but the one that asks Ray."""
    routes = routing(app.embeddings, Authenticator("development", {})).routes
    asked = [route for route in routes if isinstance(route, Route) and route.path != "/metrics"]
    return [case for route in asked async for case in cases(app.app, route)]


async def problem(app: Application, asked: Asked) -> str | None:
    try:
        return wrong(asked, await asked.of(app.app))
    except Exception as error:  # whatever comes out of the application is a defect, and is named with its input
        return repr(error)


@pytest.mark.parametrize("count", [FEW, pytest.param(None, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_nothing_in_any_field_of_any_route_is_a_defect(app: Application, count: int | None) -> None:
    async def failures() -> list[str]:
        found = await every_case(app)
        assert len(found) > 400 * FEW
        chosen = found if count is None else random.Random(7).sample(found, count)
        print(f"{len(chosen)} of {len(found)} requests")
        told = [(asked := ask(), await problem(app, asked)) for ask in chosen]
        return [f"{why}: {str(asked)[:500]}" for asked, why in told if why is not None]

    assert asyncio.run(failures()) == []
