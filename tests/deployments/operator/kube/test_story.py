"""What operators on call rely on: a change lasts, nobody's work is lost, and what fails leaves the old state."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest
from rich.console import Console
from typer.testing import CliRunner

from deployments.cli.main import app
from deployments.operator import operations
from deployments.operator.change import Change, Options
from deployments.operator.execute import Execution
from deployments.operator.kube import api as kube_api
from deployments.operator.kube.api import KubeApi
from deployments.operator.kube.change_note import ANNOTATION
from deployments.operator.kube.service import KubeService
from models.errors import EmbedserveError
from tests.deployments.operator.kube.conftest import COMMENT, Cluster, original
from tests.integration.waiting import wait
from tests.servers.kubernetes import Fault

TEXT = "text-embedding"
CANARY = ("route", TEXT, "1.0.0=90", "1.1.0=10")


def error(result: object) -> str:
    raised = result.exception
    assert isinstance(raised, EmbedserveError), result.output
    return str(raised)


def test_a_canary_set_with_kube_outlives_the_operators_restart(cluster: Cluster) -> None:
    done = cluster.run(*CANARY)
    assert done.exit_code == 0, done.output
    assert cluster.serve.share(f"{TEXT}@1.1.0") == pytest.approx(0.1)
    cluster.operator.restart()
    assert cluster.serve.share(f"{TEXT}@1.1.0") == pytest.approx(0.1)
    assert COMMENT in cluster.text


def test_what_serve_alone_was_told_is_gone_when_the_operator_restarts(cluster: Cluster) -> None:
    """The stand-in of KubeRay does what makes ``--kube`` necessary."""
    cluster.serve.deploy(operations.route(cluster.document, TEXT, {"1.0.0": 90, "1.1.0": 10}, {}))
    cluster.operator.wait_for(3)
    assert cluster.serve.share(f"{TEXT}@1.1.0") == pytest.approx(0.1)
    cluster.operator.restart()
    assert cluster.serve.share(f"{TEXT}@1.1.0") == 0


def test_without_kube_every_command_is_refused_where_serve_belongs_to_a_rayservice(cluster: Cluster) -> None:
    before = len(cluster.serve.submitted)
    for words in (
        CANARY,
        ("promote", f"{TEXT}@1.1.0"),
        ("swap", f"{TEXT}@1.0.0", "--to", "1.1.0", "--no-check"),
        ("rollback", TEXT),
        ("remove", f"{TEXT}@1.1.0"),
        ("add", f"{TEXT}@1.2.0", "--no-check"),
    ):
        said = error(cluster.plain(*words))
        assert "RayService 'embedserve'" in said
        assert "--kube --rayservice embedserve" in said
        assert "--no-kube" in said
    assert len(cluster.serve.submitted) == before


def test_up_deploys_over_no_rayservice_unless_it_is_told_to(cluster: Cluster) -> None:
    before = len(cluster.serve.submitted)
    words = ["up", "--address", cluster.serve.url, "--timeout", "1"]
    said = error(CliRunner().invoke(app, words))
    assert "RayService 'embedserve'" in said
    assert "Apply a manifest with this configuration" in said
    assert len(cluster.serve.submitted) == before
    CliRunner().invoke(app, [*words, "--no-kube"])
    assert len(cluster.serve.submitted) > before


def test_no_kube_changes_serve_all_the_same(cluster: Cluster) -> None:
    done = cluster.plain(*CANARY, "--no-kube")
    assert done.exit_code == 0, done.output
    assert cluster.serve.share(f"{TEXT}@1.1.0") == pytest.approx(0.1)
    assert cluster.text == original()


def test_without_the_gateways_address_kuberays_word_must_do(cluster: Cluster) -> None:
    done = cluster.run(*CANARY, url=False)
    assert done.exit_code == 0, done.output
    assert cluster.serve.share(f"{TEXT}@1.1.0") == pytest.approx(0.1)


def test_a_swap_that_encoders_refuse_goes_back_by_a_patch_to_the_text_that_was_there(cluster: Cluster) -> None:
    cluster.serve.refused.add(f"{TEXT}@1.1.0")
    said = error(cluster.run("swap", f"{TEXT}@1.0.0", "--to", "1.1.0", "--no-check"))
    assert "refused the swap" in said
    assert "back to what it was" in said
    assert cluster.text == original()
    assert cluster.history()[-1]["result"] == "went back"


def test_an_application_that_fails_goes_back_where_only_kuberay_is_asked(cluster: Cluster) -> None:
    cluster.serve.bad.add("/models/broken.onnx")
    said = error(cluster.run("swap", f"{TEXT}@1.0.0", "--to", "/models/broken.onnx", "--no-check", url=False))
    assert "failed to deploy" in said
    assert cluster.text == original()
    cluster.operator.wait_for(3)
    assert all(app["status"] == "RUNNING" for app in cluster.serve.details()["applications"].values())


def test_what_somebody_else_changed_of_another_model_meanwhile_is_kept(cluster: Cluster) -> None:
    def other(body: dict) -> None:
        cluster.api.update("rayservices", "embedserve", faster)

    def faster(resource: dict) -> None:
        text = resource["spec"]["serveConfigV2"]
        resource["spec"]["serveConfigV2"] = text.replace("max_replicas: 4", "max_replicas: 5") + "# by hand\n"

    cluster.api.before_patch = other
    done = cluster.run(*CANARY)
    assert done.exit_code == 0, done.output
    assert cluster.text.endswith("# by hand\n")
    assert cluster.serve.share(f"{TEXT}@1.1.0") == pytest.approx(0.1)


def test_what_somebody_else_changed_of_the_same_model_stands_and_the_later_one_is_told(cluster: Cluster) -> None:
    def other(body: dict) -> None:
        cluster.api.update("rayservices", "embedserve", promoted)

    def promoted(resource: dict) -> None:
        text = resource["spec"]["serveConfigV2"]
        resource["spec"]["serveConfigV2"] = text.replace("1.0.0: 100\n", "1.0.0: 50\n").replace(
            "1.1.0: 0\n", "1.1.0: 50\n"
        )

    cluster.api.before_patch = other
    said = error(cluster.run(*CANARY))
    assert "while this command was preparing; nothing was changed here" in said
    assert "1.1.0: 50\n" in cluster.text


def test_kuberays_own_writes_of_the_status_disturb_no_command(cluster: Cluster) -> None:
    def touch(body: dict) -> None:
        cluster.api.update("rayservices", "embedserve", lambda resource: resource["metadata"].update(labels={"a": "b"}))

    cluster.api.before_patch = touch
    done = cluster.run(*CANARY)
    assert done.exit_code == 0, done.output
    assert cluster.api.get("rayservices", "embedserve")["metadata"]["labels"] == {"a": "b"}


def test_of_two_operators_at_the_same_moment_one_is_told_and_the_others_change_stands(cluster: Cluster) -> None:
    ends: dict[str, str] = {}

    def operate(version: str) -> None:
        service = KubeService(KubeApi(), url=cluster.serve.url)
        change = Change(f"promote {version}", TEXT, partial(operations.promote, reference=f"{TEXT}@{version}"))
        console = Console(quiet=True)
        current = service.read()
        start.wait()
        try:
            Execution(console, service, change, Options(timeout_s=20)).run(current)
            ends[version] = "done"
        except EmbedserveError as refusal:
            ends[version] = str(refusal)

    setup = cluster.run("route", TEXT, "1.0.0=50", "1.1.0=50")
    assert setup.exit_code == 0, setup.output
    start = threading.Barrier(2)
    threads = [threading.Thread(target=operate, args=(version,)) for version in ("1.0.0", "1.1.0")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said == "done" for said in ends.values()) == [False, True]
    winner = next(version for version, said in ends.items() if said == "done")
    loser = next(said for said in ends.values() if said != "done")
    assert "nothing was changed here" in loser
    assert f"promote {winner}" in loser
    assert cluster.serve.share(f"{TEXT}@{winner}") == 1
    assert [entry["command"] for entry in cluster.history()][-1] == f"promote {winner}"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault("PATCH", "rayservices", 403), "rights"),
        (Fault("PATCH", "rayservices", 422), "refuses the change"),
    ],
    ids=["forbidden", "invalid"],
)
def test_a_patch_that_is_refused_leaves_the_old_state(cluster: Cluster, fault: Fault, told: str) -> None:
    cluster.api.faults.append(fault)
    assert told in error(cluster.run(*CANARY))
    assert cluster.text == original()
    assert ANNOTATION not in cluster.api.get("rayservices", "embedserve")["metadata"].get("annotations", {})


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PATCH", "rayservices", None, applied=True),
        Fault("PATCH", "rayservices", 503),
        Fault("PATCH", "rayservices", 500, applied=True),
        Fault("PATCH", "rayservices", 429, retry_after=1),
    ],
    ids=["cut after", "unavailable", "error after it was applied", "throttled"],
)
def test_an_answer_that_is_lost_makes_no_change_twice_and_none_by_half(cluster: Cluster, fault: Fault) -> None:
    cluster.api.faults.append(fault)
    done = cluster.run(*CANARY)
    assert done.exit_code == 0, done.output
    assert cluster.serve.share(f"{TEXT}@1.1.0") == pytest.approx(0.1)
    assert [entry["command"] for entry in cluster.history()] == ["", "route text-embedding 1.0.0=90 1.1.0=10"]


def test_a_change_of_two_steps_whose_second_patch_fails_goes_back_to_the_old_text(cluster: Cluster) -> None:
    def later(body: dict) -> None:
        cluster.api.before_patch = deny

    def deny(body: dict) -> None:
        cluster.api.faults.append(Fault("PATCH", "rayservices", 422))
        cluster.api.before_patch = None

    cluster.api.before_patch = later
    cluster.api.update("rayservices", "embedserve", lambda r: r["spec"].update(serveConfigV2=original()))
    said = error(cluster.run("remove", f"{TEXT}@1.1.0", "--drain-time", "0.1"))
    assert "back to what it was" in said, said
    assert cluster.text == original()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "rayservices", 429, retry_after=1),
        Fault("GET", "rayservices", 410),
        Fault("GET", "rayservices", None),
    ],
    ids=["throttled", "expired", "cut"],
)
def test_what_an_api_server_refuses_for_now_is_waited_for_and_asked_again(cluster: Cluster, fault: Fault) -> None:
    cluster.operator.pause()  # it asks too
    cluster.api.faults.append(fault)
    before = time.monotonic()
    assert KubeService(KubeApi(), "embedserve").read()["applications"]
    assert cluster.api.faults == []
    assert time.monotonic() - before >= (fault.retry_after or 0), "as long as it asked for"


def test_a_change_outlives_an_api_server_that_is_away_longer_than_a_request_is_tried_again(cluster: Cluster) -> None:
    cluster.operator.pause()

    def restart() -> None:
        wait("the patch", lambda: cluster.text != original())
        cluster.api_is_away(kube_api.PATIENCE_S + 0.5)
        cluster.operator.held.set()

    thread = threading.Thread(target=restart)
    thread.start()
    done = cluster.run(*CANARY)
    thread.join()
    assert done.exit_code == 0, done.output
    assert cluster.serve.share(f"{TEXT}@1.1.0") == pytest.approx(0.1)
    assert [entry["result"] for entry in cluster.history()] == ["found", "done"]


def test_an_api_server_that_stays_away_is_named_and_nothing_is_changed(cluster: Cluster) -> None:
    cluster.api.faults += [Fault("PATCH", "rayservices", 503) for _ in range(100)]
    said = error(cluster.run(*CANARY))
    assert "does not answer" in said
    assert cluster.text == original()


def test_while_kuberay_upgrades_to_a_new_cluster_no_change_is_taken(cluster: Cluster) -> None:
    cluster.operator.pause()
    upgrading = {"type": "UpgradeInProgress", "status": "True", "reason": "BothActivePendingClustersExist"}
    cluster.api.update("rayservices", "embedserve", lambda r: r["status"].update(conditions=[upgrading]))
    assert "UpgradeInProgress" in error(cluster.run(*CANARY))
    assert cluster.text == original()


def test_a_dry_run_shows_the_plan_and_writes_nothing(cluster: Cluster) -> None:
    done = cluster.run(*CANARY, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "dry run: nothing was changed" in done.output
    assert cluster.text == original()
    assert [held["metadata"]["name"] for held in cluster.api.all("configmaps")] == ["embedserve-preload"]


def test_an_event_says_who_did_what(cluster: Cluster) -> None:
    assert cluster.run(*CANARY).exit_code == 0
    (event,) = cluster.api.all("events")
    assert "route text-embedding 1.0.0=90 1.1.0=10" in event["message"]
    assert (event["type"], event["involvedObject"]["kind"]) == ("Normal", "RayService")


def test_status_says_who_changed_what_last_and_where_serve_differs(cluster: Cluster) -> None:
    assert cluster.run("promote", f"{TEXT}@1.1.0").exit_code == 0

    def status(*words: str) -> str:
        result = CliRunner().invoke(app, ["status", "--kube", *words])
        assert result.exit_code == 0, result.output
        return str(result.output)

    said = status("--dashboard", cluster.serve.url)
    assert f"ran `promote {TEXT}@1.1.0`" in said
    assert "drift: none" in said
    cluster.serve.deploy(operations.route(cluster.document, TEXT, {"1.0.0": 90, "1.1.0": 10}, {}))
    assert "1.1.0: 10" in status("--dashboard", cluster.serve.url)
    assert "drift: not known" in status()
