"""A command that was killed is told from one that runs, and from one of another machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deployments.operator.claimant import has_ended, signature


def test_a_process_that_runs_has_not_ended_and_one_that_was_killed_has() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    signed = signature(process.pid)
    assert not has_ended(signed)
    assert not has_ended(signature())
    process.kill()
    process.communicate()
    assert has_ended(signed)


def test_one_that_only_waits_for_its_parent_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    signed = signature(process.pid)
    process.kill()
    while not has_ended(signed):
        assert process.returncode is None
    process.communicate()


def test_another_process_of_the_same_number_is_not_it() -> None:
    boot, space, pid, started = signature().split("/")
    assert has_ended("/".join((boot, space, pid, str(int(started) - 1))))


@pytest.mark.parametrize("place", [0, 1])
def test_of_another_machine_or_container_nobody_knows(place: int) -> None:
    parts = signature().split("/")
    parts[place], parts[2] = "other", "999999999"
    assert not has_ended("/".join(parts))


@pytest.mark.parametrize("signed", ["", "/", "a/b/c/d", "0123456789abcdef0123456789abcdef"])
def test_what_is_no_signature_says_nothing(signed: str) -> None:
    assert not has_ended(signed)
