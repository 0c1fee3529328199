"""Where the replicas of a deployment take calls directly: each is asked through Serve, again and again while calls come.

Serve's ``broadcast`` is public, but not that it leaves out replicas that load another artifact.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from deployments.observability.logging import logger
from deployments.rpc.detached import detached
from deployments.rpc.server import Endpoint
from deployments.serve_internals.seams import SEAMS
from models.errors import UnavailableError

LOOK_EVERY_S: Final = 2.0  # how soon a new replica takes part; each look is a small call to every replica
LOOK_AGAIN_S: Final = 0.2  # the same while a known replica is missing
# Between two looks for each replica: asking one through Serve takes 5 ms of processor time, so that a look at 258 decoders takes more
# than a second of it. So it is at most a fifth of a core, and up to 8 replicas change nothing.
EACH_S: Final = 0.025
LOOK_TIMEOUT_S: Final = 2.0  # a replica that does not answer keeps the others from being found no longer than this


class ReplicaSearch:
    """The endpoints of a deployment's replicas."""

    def __init__(
        self, name: str, handle: Callable[[], Awaitable[Any]], found: Callable[[Mapping[str, Endpoint]], object]
    ) -> None:
        """Know of none.

        Args:
            name: of the deployment, in the log.
            handle: gives Serve's handle of it.
            found: is told of the replicas when they are others.
        """
        self._name, self._handle, self._found = name, handle, found
        self.endpoints: Mapping[str, Endpoint] = {}
        self.told: tuple[Any, ...] = ()  # what the replicas were told when they were last found
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = -math.inf

    @property
    def on(self) -> bool:
        """Whether replicas are called directly at all."""
        return SEAMS.on("connections")

    def look(self, *tell: Any, missing: bool = False) -> None:
        """Find out in the background where the replicas are, unless it was done a moment ago.

        Args:
            tell: arguments of their method ``endpoint``.
            missing: whether one takes no calls; the moment then is shorter.
        """
        every_s = pause_s(len(self.endpoints), missing=missing)
        if self._looking is None and time.monotonic() - self._looked_at > every_s and self.on:
            self._looked_at = time.monotonic()
            self._looking = detached(self._find(tell))

    def forget(self) -> None:
        """Know of none again, and let go of connections to them."""
        if self.endpoints:
            self.endpoints = {}
            self._found(self.endpoints)

    async def _find(self, tell: tuple[Any, ...]) -> None:
        """Ask every replica where it takes calls.

        Serve leaves out replicas that load another artifact, although ours go on answering. So when it knows of none,
        those known before stay: a version with one replica would otherwise stand still for 0.4 s (MiniLM) or 2 s (CLIP).
        """
        try:
            asked = (await self._handle()).broadcast("endpoint", *tell)
            answers = await asked.results_async(timeout_s=LOOK_TIMEOUT_S, return_exceptions=True)
        except (RayError, RayServeException, TimeoutError, UnavailableError) as error:
            logger.debug("no replica of %s says where it is: %s", self._name, last_line(error))
            return
        finally:
            self._looking = None
        found = {answer[0]: answer[1] for answer in answers if isinstance(answer, tuple)}
        if not found:
            return
        self.told = tell
        if found != self.endpoints:
            self.endpoints = found
            self._found(found)  # begins to connect


def pause_s(replicas: int, *, missing: bool) -> float:
    """Seconds between two looks at so many replicas."""
    return max(LOOK_AGAIN_S if missing else LOOK_EVERY_S, replicas * EACH_S)


def last_line(error: Exception) -> str:
    """The last line of an error, without the traceback that Ray puts before it."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
