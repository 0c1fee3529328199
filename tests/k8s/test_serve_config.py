"""The configuration inside the manifests is serve_config.yaml's, valid, and what a cluster needs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from deployments.cluster.serve_file import ServeConfig
from deployments.cluster.serve_file_check import check
from models.catalog.catalog import Catalog
from scripts.k8s_config import (
    CATALOG,
    FILE,
    SOURCE,
    VARIANTS,
    cluster_config,
    drifted,
    embedded,
    manifest,
)
from scripts.k8s_variant import SETTINGS, Variant
from tests.command_line import embedserve
from tests.k8s.tools import K8S, OVERLAYS, ROOT, built, only, pods, service

IDS = [variant.folder for variant in VARIANTS]


def document():
    return yaml.safe_load(SOURCE.read_text(encoding="utf-8"))


def deployments(config):
    """By name; of two with the same name, the first."""
    return {d["name"]: d for app in reversed(config["applications"]) for d in app["deployments"]}


def test_the_manifests_hold_what_serve_config_yaml_gives():
    assert not [str(path) for path in drifted()], "run `python scripts/k8s_config.py --write`"


def test_production_pins_every_artifact_whose_hash_the_catalogue_knows():
    specs = {spec.reference: spec.hash for spec in Catalog.load().specs()}
    pins = {}
    for variant in VARIANTS:
        for deployment in deployments(cluster_config(document(), variant)).values():
            config = deployment.get("user_config") or {}
            if "artifact" in config:
                wanted = specs[config["artifact"]] if variant.profile == "production" else None
                assert config.get("hash") == wanted
                pins[config["artifact"]] = wanted
    assert pins.get("text-embedding@1.0.0")


def test_every_overlay_has_a_generated_configuration():
    assert set(IDS) == set(OVERLAYS) == {str(path.parent.relative_to(K8S)) for path in K8S.rglob(FILE)}


def test_a_changed_source_is_noticed(tmp_path):
    source = tmp_path / "serve_config.yaml"
    changed = document()
    changed["applications"][0]["deployments"][0]["autoscaling_config"]["max_replicas"] += 1
    source.write_text(yaml.safe_dump(changed), encoding="utf-8")
    assert len(drifted(source)) == len(VARIANTS)


def test_the_check_command_names_a_file_edited_by_hand_and_write_renews_it(tmp_path):
    for folder in ("scripts", "k8s"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.name in (FILE, SETTINGS, "k8s_config.py"):
                copy = tmp_path / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "models").mkdir()
    for source in (SOURCE, CATALOG):
        copy = tmp_path / source.relative_to(ROOT)
        copy.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    edited = tmp_path / "k8s" / "base" / FILE
    edited.write_text(edited.read_text(encoding="utf-8").replace("production", "development"), encoding="utf-8")

    def run(option):
        command = [sys.executable, str(tmp_path / "scripts" / "k8s_config.py"), option]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    refused = run("--check")
    assert (refused.returncode, "k8s/base/serve-config.yaml" in refused.stdout) == (1, True)
    assert run("--write").returncode == 0
    assert run("--check").returncode == 0


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_embedded_configuration_passes_our_check_and_rays_schema(folder):
    service = only(built(folder), "RayService")
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    check(config, folder)
    ServeDeploySchema.model_validate(config)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_a_built_overlay_runs_its_own_configuration_and_not_the_one_below_it(folder):
    service = only(built(folder), "RayService")
    variant = next(variant for variant in VARIANTS if variant.folder == folder)
    assert yaml.safe_load(service["spec"]["serveConfigV2"]) == cluster_config(document(), variant)


@pytest.mark.parametrize("variant", VARIANTS, ids=IDS)
def test_the_service_listens_on_all_addresses_and_only_dev_allows_random_weights(variant):
    config = cluster_config(document(), variant)
    assert config["http_options"]["host"] == "0.0.0.0"
    wanted = "development" if variant.folder == "overlays/dev" else "production"
    assert ServeConfig(config).profiles == {wanted}


@pytest.mark.parametrize("variant", VARIANTS, ids=IDS)
def test_clip_asks_for_a_gpu_where_the_overlay_is_named_so(variant):
    options = deployments(cluster_config(document(), variant))["ImageEncoder"]["ray_actor_options"]
    assert bool(options.get("num_gpus")) == ("gpu" in variant.folder)


@pytest.mark.parametrize("variant", VARIANTS, ids=IDS)
def test_pictures_are_decoded_on_other_nodes_where_clip_asks_for_a_gpu(variant):
    config = cluster_config(document(), variant)
    found = deployments(config)
    modes = [app["args"].get("decode", "inside") for app in config["applications"] if app["name"].startswith("image")]
    if "gpu" not in variant.folder:
        assert (modes, "Decoder" in found) == (["inside"], False)
        return
    assert modes == ["separate"]
    limits = pods(service(variant.folder))["gpu"]["spec"]["containers"][0]["resources"]["limits"]
    encoder, decoder = (found[name]["ray_actor_options"] for name in ("ImageEncoder", "Decoder"))
    assert not decoder.get("num_gpus")
    assert encoder["num_cpus"] + decoder["num_cpus"] > float(limits["cpu"])
    assert found["Decoder"]["autoscaling_config"]["min_replicas"] == variant.replicas
    assert found["Decoder"]["autoscaling_config"]["policy"]["policy_function"].endswith(":ImageCpuPolicy")


def test_high_availability_has_two_of_everything_and_gateways_on_two_nodes():
    found = deployments(cluster_config(document(), Variant("x", replicas=2)))
    assert {d["autoscaling_config"]["min_replicas"] for d in found.values()} == {2}
    assert found["Gateway"]["max_replicas_per_node"] == 1


def test_a_version_that_scales_to_zero_still_does_under_high_availability():
    source = document()
    source["applications"][1]["deployments"][0]["autoscaling_config"]["min_replicas"] = 0
    changed = cluster_config(source, Variant("x", replicas=2))
    assert deployments(changed)["TextEncoder"]["autoscaling_config"]["min_replicas"] == 0


def test_the_source_is_left_as_it_was():
    source = document()
    cluster_config(source, Variant("x", gpu=True, replicas=2))
    assert source == document()


def test_what_a_manifest_embeds_is_what_was_put_in():
    for variant in VARIANTS:
        assert embedded(manifest(document(), variant)) == cluster_config(document(), variant)


def test_an_overlay_of_ones_own_outside_of_the_repository_is_generated_builds_and_validates(tmp_path):
    own = tmp_path / "mine"
    own.mkdir()
    base = os.path.relpath(K8S / "base", own)
    (own / "kustomization.yaml").write_text(f"resources: [{base}]\npatches:\n  - path: {FILE}\n")
    (own / SETTINGS).write_text("replicas: 3\n")

    def run(*words):
        command = [sys.executable, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    script = str(ROOT / "scripts" / "k8s_config.py")
    assert run(script, "--check", str(own)).returncode == 1
    assert run(script, "--write", str(own)).returncode == 0
    assert run(script, "--check", str(own)).returncode == 0
    said = embedserve("validate", str(own))
    assert said.returncode == 0, said.stderr
    assert "RayService embedserve: 4 applications, valid" in said.stdout
    assert deployments(embedded((own / FILE).read_text()))["Gateway"]["autoscaling_config"]["min_replicas"] == 3
    (own / SETTINGS).write_text("replica: 3\n")
    refused = run(script, "--check", str(own))
    assert (refused.returncode, "it may say profile, gpu, replicas, service" in refused.stderr) == (2, True)
