from __future__ import annotations

from typing import Any

import pytest

from deployments.config import GatewayConfig
from deployments.registry import Registry
from deployments.wire import Card, Label
from models.errors import ModelNotFoundError


def registry(*ready: str, **routes: Any) -> Registry:
    """A gateway's registry of one text model, whose versions named in ``ready`` have a replica."""
    found = Registry()
    found.configure(config(**routes))
    for version in found.versions.values():
        if version.version in ready:
            version.card = Card(Label(version.reference, "h"), "m", "text", 384, "fp32", "CPU")
        else:
            version.error = "no replica"
    return found


def config(**routes: Any) -> GatewayConfig:
    return GatewayConfig.model_validate({"models": {"m": {"type": "text", **routes}}, "aliases": {"alias": "m"}})


@pytest.mark.parametrize("name", ["m", "alias", "m@1"])
def test_names_aliases_and_pins_reach_their_version(name: str) -> None:
    assert registry("1", "2", versions={"1": 1, "2": 0}).resolve(name).reference == "m@1"


@pytest.mark.parametrize("name", ["other", "m@3", "m@", "@1"])
def test_what_is_unknown_is_never_answered_by_another(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="there are"):
        registry("1", versions={"1": 1}).resolve(name)


def test_without_a_fallback_an_unready_version_is_not_replaced() -> None:
    assert registry("1", versions={"1": 0, "2": 1}).resolve("m").reference == "m@2"


def test_a_fallback_answers_unpinned_requests_only() -> None:
    found = registry("1", versions={"1": 0, "2": 1}, fallback="1")
    assert found.resolve("m").reference == "m@1"
    assert found.resolve("m@2").reference == "m@2"


@pytest.mark.parametrize(
    ("key", "headers", "expected"),
    [("vip", {}, "m@2"), (None, {"x-test": "b"}, "m@2"), ("other", {"x-test": "a"}, "m@1")],
    ids=["by its key", "by a header", "and nobody else"],
)
def test_an_override_takes_requests(key: str | None, headers: dict[str, str], expected: str) -> None:
    overrides = [{"version": "2", "key": "vip"}, {"version": "2", "header": "x-test", "value": "b"}]
    found = registry("1", "2", versions={"1": 1, "2": 0}, overrides=overrides)
    assert found.resolve("m", key, headers).reference == expected


def test_a_pin_is_obeyed_whatever_an_override_says() -> None:
    found = registry("1", "2", versions={"1": 1, "2": 0}, overrides=[{"version": "2", "key": "vip"}])
    assert found.resolve("m@1", "vip").reference == "m@1"


def test_a_version_that_is_not_ready_waits_at_weight_zero() -> None:
    found = registry("1", versions={"1": 1, "2": 0})
    found.configure(config(versions={"1": 1, "2": 3}))
    assert found.share(found.versions["m@2"]) == 0
    assert "wait until 2" in found.waiting["m"]
    second = found.versions["m@2"]
    second.card, second.error = Card(Label("m@2", "h"), "m", "text", 384, "fp32", "CPU"), None
    found.configure(config(versions={"1": 1, "2": 3}))
    assert found.share(second) == 0.75
    assert found.waiting == {}
