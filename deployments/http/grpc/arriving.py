"""Messages on their way to a gateway: gRPC hands over whole ones alone, so that nobody sees how much of one is there.

What fits into a buffer of HAProxy arrives at once (``grpc_lines`` of ``haproxy_rules``). Of those that take longer, as many may be
on their way as find room in memory at the largest that they can be, and none for longer than a body may take.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from deployments.config.limits import Limits
from models.errors import InputError, SlowInputError, UnavailableError

SHORT_S: Final = 5.0  # for a message of some bytes that does not come through HAProxy's buffer
AT_ONCE_S: Final = 1.0  # far above what a gateway full of calls needs to look at one that is there


class Arriving:
    """The messages that one gateway waits for."""

    def __init__(self, limits: Callable[[], Limits]) -> None:
        """Wait for none; ``limits`` gives those in force."""
        self._limits = limits
        self.slow = 0  # that did not arrive at once

    async def short_message(self, stream: AsyncIterator[Any]) -> Any:
        """The one message of a call that anybody may make: it has little time, and takes no room from others.

        Raises:
            SlowInputError: it did not arrive in time.
            InputError: the call ended without one.
        """
        wait = _Wait(self)
        return await self._first(stream, wait, SHORT_S, wait.end_after, SHORT_S)

    async def message(self, stream: AsyncIterator[Any]) -> Any:
        """The one message of a call.

        Raises:
            UnavailableError: it takes long, and there is no room for what is on its way already.
            SlowInputError: it did not arrive in time.
            InputError: the call ended without one.
        """
        wait = _Wait(self)
        return await self._first(stream, wait, AT_ONCE_S, wait.take_seat, self._limits())

    async def _first(
        self, stream: AsyncIterator[Any], wait: _Wait, after_s: float, then: Callable[..., None], *told: Any
    ) -> Any:
        timer = asyncio.get_running_loop().call_later(after_s, then, *told)
        try:
            return await anext(stream)
        except StopAsyncIteration:
            raise InputError("the call ended before its message came", code="incomplete_body") from None
        except asyncio.CancelledError:
            if wait.refusal is None or wait.task.uncancel() > 0:
                raise  # its caller left
            raise wait.refusal from None
        finally:
            timer.cancel()
            wait.leave()


class _Wait:
    """One call whose message is not there."""

    def __init__(self, all_: Arriving) -> None:
        self._all = all_
        self._timer: asyncio.TimerHandle | None = None
        self.refusal: Exception | None = None
        task = asyncio.current_task()
        assert task is not None
        self.task = task

    def end_after(self, seconds: float) -> None:
        self._stop(SlowInputError(f"the message had not arrived after {seconds:g} s", code="body_too_slow"))

    def take_seat(self, limits: Limits) -> None:
        most = max(1, limits.bytes_in_flight // limits.body_bytes)
        if self._all.slow >= most:
            self._stop(UnavailableError(f"the service is at capacity: {most} large messages are on their way already"))
            return
        self._all.slow += 1
        self._timer = self.task.get_loop().call_later(limits.body_s, self.end_after, limits.body_s)

    def leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._all.slow -= 1
            self._timer = None

    def _stop(self, refusal: Exception) -> None:
        self.refusal = refusal
        self.task.cancel()
