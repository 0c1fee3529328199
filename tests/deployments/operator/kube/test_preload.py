"""What new workers download first follows what is served, whoever else writes meanwhile."""

from __future__ import annotations

import pytest
import yaml
from typer.testing import CliRunner

from deployments.cli.main import app
from deployments.cluster.preload_key import PRELOAD
from deployments.operator import operations
from deployments.operator.kube.api import KubeApi
from deployments.operator.kube.preload import follow, following, served
from scripts.k8s_config import VARIANTS, artifacts, cluster_config
from scripts.k8s_variant import Variant
from tests.deployments.operator.documents import one_version
from tests.deployments.operator.kube.conftest import PRELOADED, Cluster, done
from tests.servers.kubernetes import Fault

TEXT = "text-embedding"
OTHER = "text-embedding@1.2.0"


def test_a_version_that_is_added_or_removed_or_comes_back_is_listed_while_it_is_served(cluster: Cluster) -> None:
    done(cluster.run("add", OTHER, "--no-check"))
    assert cluster.preload == [*PRELOADED, OTHER]
    done(cluster.run("remove", f"{TEXT}@1.1.0", "--drain-time", "0"))
    assert cluster.preload == [*PRELOADED[:-1], OTHER]
    done(cluster.run("rollback", TEXT))
    assert set(cluster.preload) == {*PRELOADED, OTHER}


def test_a_swapped_artifact_takes_the_place_of_the_one_before_and_what_somebody_added_stays(cluster: Cluster) -> None:
    cluster.api.update(
        "configmaps", "embedserve-preload", lambda c: c["data"].update({PRELOAD: "mine@3 " + " ".join(PRELOADED)})
    )
    done(cluster.run("swap", f"{TEXT}@1.0.0", "--to", "1.2.0", "--no-check"))
    assert cluster.preload == ["mine@3", *PRELOADED[1:], OTHER]


def test_a_change_that_went_back_leaves_the_list_as_it_was(cluster: Cluster) -> None:
    cluster.serve.refused.add(OTHER)
    assert cluster.run("swap", f"{TEXT}@1.0.0", "--to", "1.2.0", "--no-check").exception
    assert cluster.preload == PRELOADED


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PATCH", "configmaps", 409),
        Fault("PATCH", "configmaps", None, applied=True),
        Fault("GET", "configmaps", 410),
    ],
    ids=["somebody else was faster", "the answer was lost", "the server's cache lags behind"],
)
def test_the_list_gets_there_whatever_happens_to_a_request(cluster: Cluster, fault: Fault) -> None:
    cluster.api.faults += [fault, fault]
    before = operations.add(cluster.document, OTHER)
    follow(KubeApi(), before, lambda: changed(cluster, before), "it")
    assert cluster.preload == [*PRELOADED, OTHER]


def changed(cluster: Cluster, document: dict) -> dict:
    return {"metadata": {}, "spec": {**cluster.spec, "serveConfigV2": yaml.safe_dump(document)}}


def test_a_change_of_somebody_else_while_the_list_is_written_is_followed_too(cluster: Cluster) -> None:
    before = cluster.document
    states = [operations.add(before, OTHER), operations.add(operations.add(before, OTHER), f"{TEXT}@1.3.0")]
    follow(KubeApi(), before, lambda: changed(cluster, states.pop(0) if len(states) > 1 else states[0]), "it")
    assert cluster.preload == [*PRELOADED, OTHER, f"{TEXT}@1.3.0"]


def test_a_list_that_may_not_be_written_is_said_and_seen_in_the_status(cluster: Cluster) -> None:
    assert cluster.api.rules is not None
    for rule in cluster.api.rules:
        if "configmaps" in rule["resources"]:
            cluster.api.rules.remove(rule)
            others = {**rule, "verbs": ["get", "create"]}
            cluster.api.rules += [others, {**rule, "resourceNames": ["embedserve-history"]}]
            break
    said = done(cluster.run("add", OTHER, "--no-check"))
    assert f"({PRELOAD}) is still what was served before" in said
    assert cluster.preload == PRELOADED
    status = done(CliRunner().invoke(app, ["status", "--kube"]))
    assert f"preload: ConfigMap embedserve-preload lacks {OTHER}" in status


def test_where_nothing_is_preloaded_nothing_is_made(cluster: Cluster) -> None:
    with cluster.api.changed:
        del cluster.api.objects["configmaps", "embedserve", "embedserve-preload"]
    follow(KubeApi(), cluster.document, lambda: changed(cluster, operations.add(cluster.document, OTHER)), "it")
    assert cluster.api.all("configmaps") == []


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.folder)
def test_commands_and_generated_manifests_name_the_same_versions(variant: Variant) -> None:
    config = cluster_config(one_version(), variant)
    assert served(config) == artifacts(config)


def test_a_list_of_a_whole_model_covers_its_versions() -> None:
    assert following([TEXT], [f"{TEXT}@1.0.0"], [f"{TEXT}@1.0.0", OTHER]) == [TEXT]
