from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ray import serve
from ray.serve.exceptions import RayServeException

from deployments.config.gateway import GatewayConfig
from deployments.contract.embedding import Label
from deployments.contract.model_info import ModelInfo
from deployments.contract.reason import Reason, ReasonCode
from deployments.gateway.model_registry import COUNT_EVERY, COUNT_QUIET, ModelRegistry
from deployments.gateway.readiness import unready
from deployments.http.models import entry
from models.errors import ModelNotFoundError

NO_REPLICA = Reason(ReasonCode.NO_REPLICA, "no replica answered")
INFO = ModelInfo(Label("m@1", "h"), "m", "text", 384, "fp32", "CPU")


def registry(*ready: str, **routes: Any) -> ModelRegistry:
    """A gateway's registry of one text model, whose versions named in ``ready`` have a replica."""
    found = ModelRegistry()
    found.configure(config(**routes))
    for version in found.versions.values():
        if version.version in ready:
            version.info = ModelInfo(Label(version.reference, "h"), "m", "text", 384, "fp32", "CPU")
        else:
            version.error = NO_REPLICA
    return found


def asleep(**routes: Any) -> ModelRegistry:
    """A model of two versions, of which the second may sleep and does."""
    found = ModelRegistry()
    found.configure(config(scale_to_zero=["2"], **routes))
    found.versions["m@1"].info = INFO
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
    assert "wait until 2" in found.waiting["m"].text
    second = found.versions["m@2"]
    second.info, second.error = ModelInfo(Label("m@2", "h"), "m", "text", 384, "fp32", "CPU"), None
    found.configure(config(versions={"1": 1, "2": 3}))
    assert found.share(second) == 0.75
    assert found.waiting == {}


def test_a_version_that_sleeps_takes_requests_and_needs_no_fallback() -> None:
    found = asleep(versions={"1": 0, "2": 1}, fallback="1")
    second = found.versions["m@2"]
    assert (second.state, second.takes_requests, second.resting) == ("asleep", True, True)
    assert found.resolve("m").reference == "m@2"


def test_a_version_that_may_not_sleep_takes_no_requests_without_a_replica() -> None:
    first = registry(versions={"1": 1}).versions["m@1"]
    assert (first.state, first.takes_requests, first.resting) == ("failed", False, False)


def test_a_version_that_may_sleep_and_is_broken_takes_no_requests() -> None:
    second = asleep(versions={"1": 0, "2": 1}, fallback="1").versions["m@2"]
    second.note_replicas(1)
    second.error = Reason(ReasonCode.REPLICA_FAILED, "the engine is broken")
    assert (second.state, second.takes_requests) == ("failed", False)


def test_a_sleeping_version_waits_for_its_weight_until_it_has_proved_itself() -> None:
    found = asleep(versions={"1": 1, "2": 0})
    found.configure(config(versions={"1": 1, "2": 1}, scale_to_zero=["2"]))
    assert found.share(found.versions["m@2"]) == 0
    assert "wait until 2" in found.waiting["m"].text
    found.versions["m@2"].info = INFO
    found.versions["m@2"].note_replicas(1)
    found.configure(config(versions={"1": 1, "2": 1}, scale_to_zero=["2"]))
    assert found.share(found.versions["m@2"]) == 0.5


async def test_only_versions_in_use_have_to_prove_themselves_for_readiness() -> None:
    found = asleep(versions={"1": 1, "2": 1})
    found.versions["m@1"].seen_at = time.monotonic()
    assert await unready(found) == []
    found.versions["m@1"].error = NO_REPLICA
    assert (await unready(found))[0].startswith("m@1: ")


def test_a_reason_has_a_code_for_programs_and_what_stops_a_version_comes_first() -> None:
    found = registry("1", versions={"1": 1, "2": 0})
    first, second = found.versions["m@1"], found.versions["m@2"]
    assert found.reason(first) is None
    found.configure(config(versions={"1": 1, "2": 3}))
    assert found.reason(first) == found.waiting["m"]
    assert found.waiting["m"].code == "waiting_for_replica"
    first.info = replace(INFO, swap_error="the file is missing")
    assert found.reason(first) == Reason(ReasonCode.SWAP_REFUSED, "the file is missing")
    assert found.reason(second) == NO_REPLICA


async def test_a_version_that_cannot_be_asked_for_a_defect_keeps_no_other_from_its_routes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Handle:
        describe = property(lambda self: self)

        async def remote(self, _: float) -> ModelInfo:
            return replace(INFO, label=Label("n@2", "h"))

        def broadcast(self, _: str) -> None:
            raise RayServeException("nobody")

    def handle(_: str, application: str) -> Handle:
        if application.startswith("m--"):
            raise ValueError("a defect")
        return Handle()

    def silent() -> None:
        raise RayServeException("no controller")

    monkeypatch.setattr(serve, "get_deployment_handle", handle)
    monkeypatch.setattr(serve, "status", silent)
    found = ModelRegistry()
    routes: dict[str, Any] = {"m": {"type": "text", "versions": {"1": 1}}, "n": {"type": "text", "versions": {"1": 1}}}
    found.configure(GatewayConfig.model_validate({"models": routes}))
    routes["n"]["versions"] = {"1": 0, "2": 1}
    found.configure(GatewayConfig.model_validate({"models": routes}))
    assert found.resolve("n").reference == "n@1"
    await found.refresh()
    assert found.resolve("n").reference == "n@2"


async def test_while_nobody_uses_a_version_serve_is_seldom_asked_for_its_replicas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = []

    def status() -> None:
        counted.append(1)
        raise RayServeException("no controller")

    async def describe(*_: float, **__: bool) -> ModelInfo:
        return INFO

    monkeypatch.setattr(serve, "status", status)
    found = registry("1", versions={"1": 1})
    version = found.versions["m@1"]
    version.replica_count = 1
    monkeypatch.setattr(version._replicas, "describe", describe)
    for _ in range(COUNT_QUIET):
        await found.refresh()
    assert len(counted) == 1
    version._used_at = time.monotonic()
    for _ in range(COUNT_QUIET):
        await found.refresh()
    assert len(counted) == 1 + COUNT_QUIET // COUNT_EVERY


async def test_a_version_that_is_awake_when_the_gateway_starts_is_asked_once_what_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise it is `loading` until somebody uses it, and operators' commands wait for it."""
    asked = []

    async def describe(*_: float) -> ModelInfo:
        asked.append(1)
        return INFO

    found = asleep(versions={"1": 1, "2": 1})
    second = found.versions["m@2"]
    monkeypatch.setattr(second._replicas, "describe", describe)
    monkeypatch.setattr(found.versions["m@1"]._replicas, "describe", describe)
    running = SimpleNamespace(deployments={"TextEncoder": SimpleNamespace(replica_states={"RUNNING": 1})})
    status = SimpleNamespace(applications={version.application: running for version in found.versions.values()})
    monkeypatch.setattr(serve, "status", lambda: status)
    await found.refresh()
    assert (second.state, second.resting) == ("ready", True)
    asked.clear()
    await found.refresh()
    assert len(asked) == 1  # the other one


async def test_a_version_whose_replica_answers_has_one_before_they_are_counted_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def describe(*_: float) -> ModelInfo:
        return INFO

    found = registry(versions={"1": 1})
    version = found.versions["m@1"]
    version.note_replicas(0)  # counted while it was starting
    assert entry(found, version)["replicas"] == 0
    monkeypatch.setattr(version._replicas, "describe", describe)
    await version.refresh()
    assert (entry(found, version)["state"], entry(found, version)["replicas"]) == ("ready", 1)
    version.note_replicas(0)
    assert entry(found, version)["replicas"] == 0
