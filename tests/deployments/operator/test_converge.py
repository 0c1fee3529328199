from __future__ import annotations

from typing import Any

import pytest

from deployments.operator.converge import Expected, NotHealthyError, disagreement, replicas, require_accepted, unsettled
from deployments.operator.lock import new_claim
from deployments.operator.preflight import require_ready
from models.errors import UnavailableError
from tests.deployments.operator.documents import two_versions

V0, V1, IMAGE = "text-embedding@1.0.0", "text-embedding@1.1.0", "image-embedding@1.0.0"
NEW, OLD = "n" * 64, "o" * 64


def entry(reference: str, share: float, **changes: Any) -> dict[str, Any]:
    return {"id": reference, "state": "ready", "reason": None, "hash": OLD, "share": share, "replicas": 1, **changes}


def expected(digest: str | None = NEW, reason: str | None = None) -> Expected:
    return Expected(two_versions(90, 10), new_claim("test", 60), {V1: digest}, {V1: reason})


def said(**changes: Any) -> list[dict[str, Any]]:
    tower = entry("clip-text-embedding@1.0.0", 1, state="asleep", hash=None, replicas=0)
    return [entry(IMAGE, 1), entry(V0, 0.9), entry(V1, **{"share": 0.1, "hash": NEW, **changes}), tower]


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        (said(), ""),
        (said(hash=OLD), "serves oooooooooooo, not nnnnnnnnnnnn yet"),
        (said(share=0.2), "20% of the traffic, not 10% yet"),
        (said(state="loading"), "is loading"),
        ([*said()[:2], said()[3]], "not listed yet"),
        ([*said(), entry("text-embedding@0.9.0", 0)], "still listed"),
    ],
    ids=["agreed", "old artifact", "old share", "loading", "not listed", "still listed"],
)
def test_a_gateway_disagrees_until_it_says_all_that_was_asked(entries: list[dict[str, Any]], says: str) -> None:
    found = disagreement(entries, expected(), 0)
    assert says in found
    assert bool(says) == bool(found)


def test_a_version_that_sleeps_holds_up_no_command_but_one_that_changes_it() -> None:
    assert [one["state"] for one in said()].count("asleep") == 1
    assert disagreement(said(), expected(), 0) == ""
    assert "is asleep" in disagreement(said(state="asleep"), expected(), 0)


def test_an_artifact_unknown_here_counts_once_the_encoder_was_asked_again() -> None:
    assert disagreement(said(), expected(None), 0)
    assert not disagreement(said(), expected(None), 60)


def test_a_refused_swap_is_noticed_at_once_and_an_old_refusal_only_when_it_stays() -> None:
    refused = said(hash=OLD, reason="the file is missing", reason_code="swap_refused")
    with pytest.raises(NotHealthyError, match=r"refused the swap.*the file is missing"):
        require_accepted(refused, expected(), 0)
    require_accepted(refused, expected(reason="the file is missing"), 0)
    with pytest.raises(NotHealthyError):
        require_accepted(refused, expected(reason="the file is missing"), 60)


def test_weights_that_wait_for_a_replica_are_no_refusal_whatever_the_sentence_says() -> None:
    require_accepted(said(reason="refused until later", reason_code="waiting_for_replica"), expected(), 60)


def test_an_application_that_failed_is_named_with_its_last_line() -> None:
    details = {"applications": {"gateway": {"status": "DEPLOY_FAILED", "message": "Traceback\nValueError: x"}}}
    with pytest.raises(NotHealthyError, match="gateway failed to deploy: ValueError: x"):
        unsettled(details, two_versions())


def test_applications_that_come_and_go_are_waited_for() -> None:
    applications = {app["name"]: {"status": "RUNNING"} for app in two_versions()["applications"]}
    assert unsettled({"applications": applications}, two_versions()) == ""
    applications["gateway"]["status"] = "DEPLOYING"
    applications["old"] = {"status": "DELETING", "source": "declarative"}
    assert unsettled({"applications": applications}, two_versions()) == "gateway is deploying, old is being removed"


@pytest.mark.parametrize("changes", [{"state": "failed", "reason": "gone"}, {"replicas": 0}], ids=["failed", "empty"])
def test_traffic_for_a_version_that_cannot_take_it_is_refused(changes: dict[str, Any]) -> None:
    require_ready(said(), [V0, V1])
    with pytest.raises(UnavailableError, match="nothing was changed"):
        require_ready(said(**changes), [V1])
    with pytest.raises(UnavailableError, match="not known"):
        require_ready(said(), ["text-embedding@9"])


def test_decoders_are_not_counted_among_the_replicas_that_answer() -> None:
    deployments = {"Decoder": {"replicas": [{}] * 5}, "ImageEncoder": {"replicas": [{}] * 2}}
    assert replicas({"applications": {"image": {"deployments": deployments}}}, "image") == 2
