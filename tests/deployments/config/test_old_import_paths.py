"""A configuration of an earlier version is told the new import paths, whoever reads it."""

from __future__ import annotations

import copy
import importlib
from typing import Any

import pytest
import yaml

from deployments.cluster.serve_file_check import check
from deployments.config.old_import_paths import CALLBACK_VARIABLE, RENAMED, refuse_old_variable
from deployments.serve_internals.settings import SWITCHES
from models.catalog.paths import ROOT
from models.errors import ConfigError

OLD_BUILDERS = ("gateway", "text_encoder", "image_encoder")


def earlier_version() -> dict[str, Any]:
    """The shipped configuration as the version before wrote it."""
    document: dict[str, Any] = copy.deepcopy(yaml.safe_load((ROOT / "serve_config.yaml").read_text()))
    del document["applications"][3:], document["applications"][0]["deployments"][0]["user_config"]["towers"]
    for app, builder in zip(document["applications"], OLD_BUILDERS, strict=True):
        app["import_path"] = f"deployments.app:{builder}"
        policy = app["deployments"][0]["autoscaling_config"]["policy"]
        policy["policy_function"] = policy["policy_function"].replace("autoscaling.policies:", "autoscaling:")
    return document


def test_one_message_says_every_change() -> None:
    with pytest.raises(ConfigError) as caught:
        check(earlier_version(), "serve_config.yaml")
    said = str(caught.value)
    assert said.startswith("serve_config.yaml is of an earlier version")
    for old in (
        *(f"deployments.app:{builder}" for builder in OLD_BUILDERS),
        "deployments.autoscaling:GatewayPolicy",
        "deployments.autoscaling:TextPolicy",
        "deployments.autoscaling:ImageCpuPolicy",
    ):
        assert f"{old} to {RENAMED[old]}" in said
    assert "ImageGpuPolicy" not in said


def test_an_environment_of_an_earlier_version_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CALLBACK_VARIABLE, "deployments.http.envelope:middlewares")
    with pytest.raises(ConfigError, match=f"{CALLBACK_VARIABLE}={SWITCHES[CALLBACK_VARIABLE]}"):
        refuse_old_variable()
    monkeypatch.setenv(CALLBACK_VARIABLE, SWITCHES[CALLBACK_VARIABLE])
    refuse_old_variable()


@pytest.mark.parametrize("old", RENAMED)
def test_ray_which_imports_an_old_path_is_told_the_new_one(old: str) -> None:
    module, _, name = old.partition(":")
    with pytest.raises((ImportError, AttributeError), match=RENAMED[old]):
        getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("new", sorted(set(RENAMED.values())))
def test_a_new_path_leads_somewhere(new: str) -> None:
    module, _, name = new.partition(":")
    assert callable(getattr(importlib.import_module(module), name))
