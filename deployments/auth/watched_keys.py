"""The keys of a file that other programs change."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from deployments.auth.api_keys import ApiKey
from deployments.auth.key_file import parse_file, read_file
from deployments.observability.logging import logger
from models.errors import ConfigError

REMIND_S = 60.0  # between two lines of the log about the same trouble


class WatchedKeys:
    """The keys of a file when it was last read whole, and how long ago that was."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read it.

        Raises:
            ConfigError: it cannot be read, or is invalid.
        """
        self._path, self._clock = path, clock
        self._bytes = read_file(path)
        self.keys: tuple[ApiKey, ...] = parse_file(self._bytes, path).keys
        self._read_at = clock()
        self._problem: str | None = None  # why it was not taken when it was last looked at
        self._told_at = 0.0

    @property
    def age_s(self) -> float:
        """Seconds since it was last read whole. It grows also where a look hangs, or nobody looks any more."""
        return self._clock() - self._read_at

    def look(self) -> bool:
        """Read it again; where that fails, the keys stay and grow older. Waits for the disk.

        All of it is read each time, because a change may leave its time and size as they were.

        Returns:
            Whether the keys are others now.
        """
        now = self._clock()
        try:
            data = read_file(self._path)
            changed = data != self._bytes
            keys = parse_file(data, self._path).keys if changed else self.keys
        except ConfigError as error:
            self._tell(str(error), now)
            return False
        if self._problem is not None:
            logger.info("key file %s can be read again", self._path)
        if changed:
            logger.info("API keys read again: %s", ", ".join(key.name for key in keys) or "none is left")
        self._bytes, self.keys, self._read_at, self._problem = data, keys, now, None
        return changed

    def _tell(self, problem: str, now: float) -> None:
        if problem != self._problem or now - self._told_at >= REMIND_S:
            logger.error("the API keys stay as they were %.0f s ago: %s", self.age_s, problem)
            self._told_at = now
        self._problem = problem
