"""The machine's resolver, and one that never answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from deployments.gateway.image_fetch.system_resolver import FALLBACK, THREADS, SystemResolver, command

SILENT = (sys.executable, "-S", "-c", "import time; time.sleep(600)")
PORTABLE = (sys.executable, "-I", "-S", "-c", FALLBACK, "--")


def children() -> set[str]:
    """Processes of this one that are still there."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that ended meanwhile
            found |= set((task / "children").read_text().split())
    return found


@pytest.mark.parametrize("program", [command(), PORTABLE], ids=["as installed", "portable"])
async def test_names_of_this_machine_are_found_and_others_are_not(program: tuple[str, ...]) -> None:
    resolve = SystemResolver(program)
    assert "127.0.0.1" in await resolve("localhost", 443)
    assert await resolve("192.0.2.7", 443) == ["192.0.2.7"]
    for wrong in ("no-such-name.invalid", "-x", "--help"):
        with pytest.raises(OSError, match="the resolver ended with"):
            await resolve(wrong, 443)


async def test_lookups_that_get_no_answer_end_with_those_who_wait_and_hold_nobody_up() -> None:
    before, resolve = children(), SystemResolver(SILENT)
    lookups = [asyncio.ensure_future(resolve("slow.example", 443)) for _ in range(THREADS)]
    while len(children() - before) < THREADS:  # noqa: ASYNC110 - a process that starts has no event to wait for
        await asyncio.sleep(0.01)
    for lookup in lookups:
        lookup.cancel()
    await asyncio.gather(*lookups, return_exceptions=True)
    deadline = time.monotonic() + 60
    while children() - before:
        assert time.monotonic() < deadline, "their processes are still there"
        await asyncio.sleep(0.01)
    resolve._program = command()
    assert "127.0.0.1" in await asyncio.wait_for(resolve("localhost", 443), 60)


async def test_ten_times_the_lookups_that_run_at_once_leave_no_process_and_no_thread_that_works() -> None:
    before, resolve = children(), SystemResolver(SILENT)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await resolve("slow.example", 443)

    for _ in range(5):
        await asyncio.gather(*(give_up() for _ in range(2 * THREADS)))
    resolve._program = command()
    assert "127.0.0.1" in await asyncio.wait_for(resolve("localhost", 443), 60)
    resolve._threads.shutdown(wait=True)
    assert not children() - before
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("resolve") and thread.is_alive()]


async def test_the_process_that_resolves_knows_no_secret_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSERVE_API_KEYS", "secret")
    resolve = SystemResolver((sys.executable, "-c", "import os; print(','.join(os.environ) or 'nothing')"))
    assert not {"EMBEDSERVE_API_KEYS", "PATH"} & set((await resolve("x", 443))[0].split(","))
    assert "PATH" in os.environ
