"""The history of a RayService: bounded, complete, and enough to go back from any machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deployments.operator.kube import history as kube_history
from deployments.operator.kube.api import KubeApi
from deployments.operator.kube.events import announce
from deployments.operator.kube.history import History, Revision
from deployments.operator.lock import new_claim
from models.errors import EmbedserveError
from tests.deployments.operator.kube.conftest import Cluster, done, original
from tests.servers.kubernetes import Fault

TEXT = "text-embedding"


def share(cluster: Cluster) -> float:
    return round(cluster.serve.share(f"{TEXT}@1.1.0"), 2)


def test_rollback_goes_several_changes_back_without_the_artifacts_at_hand(cluster: Cluster) -> None:
    done(cluster.run("route", TEXT, "1.0.0=90", "1.1.0=10"))
    done(cluster.run("promote", f"{TEXT}@1.1.0"))
    assert share(cluster) == 1
    done(cluster.run("rollback", TEXT, "--steps", "2"))
    assert share(cluster) == 0
    assert cluster.text == original()
    done(cluster.run("rollback", TEXT, "--to", "2"))
    assert share(cluster) == 0.1
    listed = done(cluster.run("history"))
    assert f"rollback {TEXT} --steps 2" in listed
    assert done(cluster.run("history", "--show", "1")) == original()
    with pytest.raises(EmbedserveError, match="4 earlier states of text-embedding, not 40"):
        raise cluster.run("rollback", TEXT, "--steps", "40").exception
    with pytest.raises(EmbedserveError, match="revision 99 is not kept; there are: 1 to 5"):
        raise cluster.run("rollback", TEXT, "--to", "99").exception


def test_a_version_that_was_removed_comes_back_as_it_was(cluster: Cluster) -> None:
    before = cluster.document
    done(cluster.run("remove", f"{TEXT}@1.1.0", "--drain-time", "0"))
    assert len(cluster.document["applications"]) == len(before["applications"]) - 1
    done(cluster.run("rollback", TEXT))
    assert cluster.document == before


def test_what_another_tool_wrote_is_in_the_history_too(cluster: Cluster) -> None:
    done(cluster.run("route", TEXT, "1.0.0=90", "1.1.0=10"))
    cluster.api.update("rayservices", "embedserve", lambda r: r["spec"].update(serveConfigV2=original()))
    cluster.operator.wait_for(4)
    done(cluster.run("route", TEXT, "1.0.0=80", "1.1.0=20"))
    assert [entry["by"] for entry in cluster.history()][2] == "another tool (kubectl, GitOps)"
    done(cluster.run("rollback", TEXT, "--steps", "2"))
    assert share(cluster) == 0.1


def test_a_history_that_may_not_be_written_stops_a_change_before_it_begins(cluster: Cluster) -> None:
    cluster.api.denied.add(("POST", "configmaps"))
    with pytest.raises(EmbedserveError, match="the rights that these commands need"):
        raise cluster.run("promote", f"{TEXT}@1.1.0").exception
    assert cluster.text == original()


def test_events_that_may_not_be_made_are_said_and_the_change_stands(cluster: Cluster) -> None:
    cluster.api.denied.add(("POST", "events"))
    assert "no Event was made" in done(cluster.run("promote", f"{TEXT}@1.1.0"))
    assert share(cluster) == 1


def test_the_history_never_outgrows_a_configmap(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_history, "REVISIONS", 10)
    history = History(KubeApi(), "embedserve")
    claim = new_claim("a command", 1)
    for number in range(1, 14):
        history.append(Revision(number, claim.at, claim.by, claim.command, "done", "x: 1\n"))
    assert [entry["number"] for entry in cluster.history()] == list(range(4, 14))
    for number in range(14, 18):
        history.append(Revision(number, claim.at, claim.by, claim.command, "done", "é: 1\n" * 30_000))
    assert [entry["number"] for entry in cluster.history()] == [16, 17]


def test_two_writers_of_the_history_lose_nothing(cluster: Cluster) -> None:
    history = History(KubeApi(), "embedserve")
    claim = new_claim("a command", 1)
    entry = Revision(1, claim.at, claim.by, claim.command, "done", "x: 1\n")
    history.append(entry)
    cluster.api.faults.append(Fault("PATCH", "configmaps", 409))
    assert history.append(entry) == 2
    assert [kept["number"] for kept in cluster.history()] == [1, 2]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_revision_whose_answer_was_lost_is_there_once(cluster: Cluster, method: str) -> None:
    history = History(KubeApi(), "embedserve")
    claim = new_claim("a command", 1)
    entry = Revision(1, claim.at, claim.by, claim.command, "done", "x: 1\n")
    if method == "PATCH":
        history.append(entry)
    cluster.api.faults.append(Fault(method, "configmaps", None, applied=True))
    number = history.append(replace(entry, config="x: 2\n"))
    assert [(kept["number"], kept["config"]) for kept in cluster.history()][-1] == (number, "x: 2\n")
    assert len(cluster.history()) == number == (2 if method == "PATCH" else 1)


def test_an_event_whose_answer_was_lost_counts_as_made(cluster: Cluster) -> None:
    cluster.api.faults.append(Fault("POST", "events", None, applied=True))
    announce(KubeApi(), cluster.api.get("rayservices", "embedserve"), "a change", failed=False)
    assert len(cluster.api.all("events")) == 1
