from __future__ import annotations

from bench.systems.ours import bench_config, measured, shipped
from bench.systems.targets import targets
from deployments.cluster.serve_file_check import check
from models.catalog.catalog import Catalog


def test_every_version_of_the_routed_models_is_served_on_one_replica() -> None:
    document = shipped()
    routed = document["applications"][0]["deployments"][0]["user_config"]["models"]
    specs = [spec for spec in Catalog.load().specs() if spec.model in routed]
    changed = bench_config(document, specs)
    check(changed, "bench")
    assert {app["args"].get("model") for app in changed["applications"]} - {None} == {s.reference for s in specs}
    scaling = [d["autoscaling_config"] for app in changed["applications"] for d in app["deployments"]]
    assert {(s["min_replicas"], s["max_replicas"]) for s in scaling} == {(1, 1)}


def test_everything_that_is_measured_of_ours_is_served() -> None:
    changed = bench_config(shipped(), measured())
    served = {app["args"].get("model") for app in changed["applications"]}
    assert {target.model for target in targets() if target.system == "ours"} == served - {None}


def test_no_two_of_the_measured_share_a_column_of_the_results() -> None:
    names = [target.name for target in targets() if target.modality == "text"]
    assert sorted(names) == sorted(set(names))


def test_each_precision_measured_is_one_of_the_model_that_is_served_and_not_of_another() -> None:
    names = {spec.name.removesuffix(f"-{spec.precision}") for spec in measured()}
    assert names == {"all-MiniLM-L6-v2", "clip-vit-base-patch32"}
