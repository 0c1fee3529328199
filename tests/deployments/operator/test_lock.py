from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import pytest

from deployments.operator.document import gateway
from deployments.operator.lock import (
    ConflictError,
    last_claim,
    new_claim,
    require_idle,
    require_ours,
    require_same,
    revision,
    with_claim,
)
from deployments.operator.operations import route
from tests.deployments.operator.documents import TEXT, one_version, two_versions

Document = dict[str, Any]


def claimed(document: Document, command: str = "swap x", lease_s: float = 60, done: bool = True) -> Document:
    claim = new_claim(command, lease_s)
    return with_claim(document, revision(document) + 1, claim.ended("done") if done else claim, {})


def test_a_stamp_can_be_read_back_and_keeps_the_history() -> None:
    document = with_claim(one_version(), 3, new_claim("swap x", 60), {TEXT: {"versions": {}}})
    last = last_claim(document)
    assert last is not None
    assert last.command == "swap x"
    assert revision(document) == 3
    assert TEXT in gateway(document)["previous"]


def test_a_command_under_way_is_named_to_the_second_operator() -> None:
    with pytest.raises(ConflictError, match=r"under way: .*@.* ran `swap x`"):
        require_idle(claimed(one_version(), done=False))


def test_a_command_that_ended_or_was_lost_holds_nobody_up() -> None:
    require_idle(one_version())
    require_idle(claimed(one_version()))
    require_idle(claimed(one_version(), lease_s=-1, done=False))


def test_a_command_whose_process_was_killed_holds_nobody_up() -> None:
    program = "from deployments.operator.lock import new_claim; print(new_claim('swap x', 600).id)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    claim = replace(new_claim("swap x", 600), id=ended)
    require_idle(with_claim(one_version(), 1, claim, {}))
    with pytest.raises(ConflictError, match="under way"):
        require_idle(with_claim(one_version(), 1, replace(claim, id="0" * 32), {}))  # of another machine or release


def test_who_prepared_on_an_older_state_writes_nothing() -> None:
    seen = two_versions()
    faster = claimed(route(seen, TEXT, {"1.1.0": 1}, {}), "route y")
    with pytest.raises(ConflictError, match=r"`route y`.*nothing was changed here"):
        require_same(seen, faster)
    require_same(faster, faster)


def test_a_file_deployed_meanwhile_is_noticed_too() -> None:
    seen = claimed(two_versions())
    with pytest.raises(ConflictError, match="another tool"):
        require_same(seen, two_versions(50, 50))


def test_who_was_overwritten_is_told_by_whom() -> None:
    mine = new_claim("route mine", 60)
    require_ours(with_claim(one_version(), 1, mine, {}), mine)
    with pytest.raises(ConflictError, match="`route theirs`"):
        require_ours(claimed(one_version(), "route theirs"), mine)


def test_a_note_of_another_version_of_the_tool_counts_as_none() -> None:
    document = one_version()
    gateway(document)["previous"] = {"@last": {"who": "someone", "until": time.time() + 60}}
    assert last_claim(document) is None
    require_idle(document)
