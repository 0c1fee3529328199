from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.failing import FOLDER
from tests.faults.fleet import ENCODER, Fleet, fleet, text_only
from tests.integration.waiting import wait

BODY_S = 3.0  # in which a body must arrive
ENGINE_S = 2.0  # in which a batch must come back


@pytest.fixture(scope="package")
def impatient() -> Iterator[Fleet]:
    """Two gateways and two encoders that fail on demand, with short limits of time."""
    with fleet(change=_impatient, prepare=_note_faults) as running:
        before = running.pids(ENCODER)
        document = running.deployed()
        document["applications"][1]["import_path"] = "tests.faults.failing:text_encoder"  # the CLI knows only ours
        running.deploy(document)
        wait("encoders that fail on demand", lambda: len(pids := running.pids(ENCODER)) == 2 and not pids & before)
        wait("ready with them", running.ready)
        yield running


def _impatient(document: dict[str, Any]) -> None:
    text_only(document)
    gateway, encoder = document["applications"]
    gateway["deployments"][0]["user_config"]["limits"] = {"body_s": BODY_S}
    encoder["deployments"][0].update(health_check_period_s=1)
    encoder["deployments"][0]["user_config"]["engine_timeout_s"] = ENGINE_S


def _note_faults(folder: Path) -> dict[str, str]:
    faults = folder / "faults"
    faults.mkdir()
    return {FOLDER: str(faults)}
