"""Tasks that work for many requests and so must carry nothing of the one that happened to start them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any


def detached(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Begin a task in an empty context.

    In a request's own context it would count into that request's record, and Serve would cancel what it calls as soon as
    that request's client is gone.
    """
    return asyncio.get_running_loop().create_task(work, context=Context())
