from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from deployments.cli.route import parse
from deployments.cluster.serve_file_check import check
from deployments.operator.document import artifacts, encoder, from_details, gateway, routes
from deployments.operator.operations import add, past_of, promote, remember, remove, rollback, route, swap
from models.errors import ConfigError, EmbedserveError
from tests.deployments.operator.documents import TEXT, one_version, two_versions, with_decoder

Document = dict[str, Any]


def test_swap_changes_the_artifact_and_keeps_the_label() -> None:
    before = one_version()
    after = swap(before, "text-embedding@1.0.0", "text-embedding@1.1.0")
    check(after, "after")
    assert artifacts(after, TEXT) == {"1.0.0": "text-embedding@1.1.0"}
    assert encoder(after, TEXT, "1.0.0")["args"]["model"] == "text-embedding@1.0.0"
    assert before == one_version()


def test_a_pinned_hash_follows_the_swap_and_comes_back_with_the_rollback() -> None:
    before = one_version()
    config = encoder(before, TEXT, "1.0.0")["deployments"][0]["user_config"]
    config["hash"] = "0" * 64
    after = swap(before, "text-embedding@1.0.0", "text-embedding@1.1.0", "1" * 64)
    check(after, "after")
    assert encoder(after, TEXT, "1.0.0")["deployments"][0]["user_config"]["hash"] == "1" * 64
    assert "hash" not in encoder(add(before, V1), TEXT, "1.1.0")["deployments"][0]["user_config"]
    noted = remember(before, after, TEXT)
    assert without_notes(rollback(noted, TEXT, past_of(noted, TEXT))) == before


def test_a_pinned_version_is_not_swapped_to_an_artifact_whose_hash_nobody_knows() -> None:
    before = one_version()
    encoder(before, TEXT, "1.0.0")["deployments"][0]["user_config"]["hash"] = "0" * 64
    with pytest.raises(ConfigError, match="--hash says it"):
        swap(before, "text-embedding@1.0.0", "/models/other.onnx")


def test_an_artifact_that_is_a_path_is_pinned() -> None:
    after = swap(one_version(), "text-embedding@1.0.0", "/models/other.onnx", "1" * 64)
    assert encoder(after, TEXT, "1.0.0")["deployments"][0]["user_config"]["hash"] == "1" * 64


def test_route_gives_versions_that_are_not_named_nothing() -> None:
    after = route(two_versions(), TEXT, {"1.1.0": 10}, {})
    check(after, "after")
    assert routes(after, TEXT)["versions"] == {"1.0.0": 0, "1.1.0": 10}


def test_a_shadow_stays_until_it_is_set_to_nothing() -> None:
    shadowed = route(two_versions(), TEXT, {}, {"1.1.0": 5})
    check(shadowed, "shadowed")
    assert routes(shadowed, TEXT)["shadow"] == {"1.1.0": 5}
    assert routes(route(shadowed, TEXT, {"1.0.0": 50}, {}), TEXT)["shadow"] == {"1.1.0": 5}
    assert "shadow" not in routes(route(shadowed, TEXT, {}, {"1.1.0": 0}), TEXT)
    assert "shadow" not in routes(promote(shadowed, "text-embedding@1.1.0"), TEXT)


def test_add_copies_the_shape_of_the_most_used_sibling() -> None:
    before = one_version()
    before["applications"][1]["deployments"][0]["autoscaling_config"]["max_replicas"] = 7
    after = add(before, "text-embedding@1.1.0")
    check(after, "after")
    app = encoder(after, TEXT, "1.1.0")
    assert app["name"] == "text-embedding--1-1-0"
    assert app["deployments"][0]["autoscaling_config"]["max_replicas"] == 7
    assert app["deployments"][0]["user_config"]["artifact"] == "text-embedding@1.1.0"
    assert routes(after, TEXT)["versions"] == {"1.0.0": 100, "1.1.0": 0}


def test_commands_find_the_encoder_of_an_application_that_also_has_a_decoder() -> None:
    image = "image-embedding"
    before = with_decoder()
    added = add(before, f"{image}@1.1.0")
    check(added, "added")
    app = encoder(added, image, "1.1.0")
    assert app["args"] == {**encoder(before, image, "1.0.0")["args"], "model": f"{image}@1.1.0"}
    assert [deployment["name"] for deployment in app["deployments"]] == ["Decoder", "ImageEncoder"]
    assert artifacts(added, image) == {"1.0.0": f"{image}@1.0.0", "1.1.0": f"{image}@1.1.0"}
    swapped = swap(before, f"{image}@1.0.0", f"{image}@1.1.0")
    check(swapped, "swapped")
    noted = remember(before, swapped, image)
    assert without_notes(rollback(noted, image, past_of(noted, image))) == before


def test_remove_takes_route_and_application() -> None:
    after = remove(two_versions(), "text-embedding@1.1.0", drain=False)
    check(after, "after")
    assert after == one_version()


def test_remove_with_drain_leaves_the_share_to_the_others() -> None:
    after = remove(two_versions(50, 50), "text-embedding@1.0.0", drain=True)
    check(after, "after")
    assert routes(after, TEXT)["versions"] == {"1.1.0": 50}


def with_alias(document: Document, target: str) -> Document:
    gateway(document)["aliases"]["old"] = target
    return document


def with_fallback(document: Document, version: str) -> Document:
    routes(document, TEXT)["fallback"] = version
    return document


V0, V1 = "text-embedding@1.0.0", "text-embedding@1.1.0"
REFUSED: list[tuple[str, Callable[[], Any], str]] = [
    ("swap of an unknown version", lambda: swap(one_version(), V1, V0), "not served here; there are: 1.0.0"),
    ("swap of an unknown model", lambda: swap(one_version(), "x@1", V0), "no model 'x' is served here"),
    ("swap without a version", lambda: swap(one_version(), TEXT, V0), "must be name@version"),
    ("route to an unknown version", lambda: route(one_version(), TEXT, {"1.1.0": 1}, {}), "`embedserve add"),
    ("shadow of an unknown version", lambda: route(one_version(), TEXT, {}, {"9": 1}), "not served here"),
    ("route to nothing", lambda: route(two_versions(), TEXT, {"1.0.0": 0}, {}), "weight above 0"),
    ("add of what is there", lambda: add(one_version(), V0), "served already"),
    ("remove of what has traffic", lambda: remove(two_versions(90, 10), V1, drain=False), "has weight 10"),
    ("remove of the last one", lambda: remove(one_version(), V0, drain=True), "only version"),
    ("remove under an alias", lambda: remove(with_alias(two_versions(), V1), V1, drain=True), "alias 'old'"),
    ("remove of the fallback", lambda: remove(with_fallback(two_versions(), "1.1.0"), V1, drain=True), "the fallback"),
    ("rollback without a past", lambda: past_of(one_version(), TEXT), "remembers no earlier state"),
    ("weight that is no number", lambda: parse(["1.0.0=many"]), "VERSION=NUMBER"),
    ("weight without a version", lambda: parse(["50"]), "VERSION=NUMBER"),
    ("weight below nothing", lambda: parse(["1.0.0=-1"]), "from 0 to 1000"),
    ("version named twice", lambda: parse(["1.0.0=1", "1.0.0=2"]), "named twice"),
]


@pytest.mark.parametrize(("attempt", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_change_that_cannot_be_is_refused_with_the_way_out(attempt: Callable[[], Any], says: str) -> None:
    with pytest.raises(EmbedserveError) as caught:
        attempt()
    assert says in str(caught.value)


CHANGES: list[tuple[str, Document, Callable[[Document], Document]]] = [
    ("swap", one_version(), lambda document: swap(document, V0, V1)),
    ("route", two_versions(), lambda document: route(document, TEXT, {"1.0.0": 50, "1.1.0": 50}, {"1.1.0": 3})),
    ("promote", two_versions(90, 10), lambda document: promote(document, V1)),
    ("add", one_version(), lambda document: add(document, V1)),
    ("remove", two_versions(), lambda document: remove(document, V1, drain=False)),
]


@pytest.mark.parametrize(("before", "change"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_rollback_undoes_a_change_and_then_itself(before: Document, change: Callable[[Document], Document]) -> None:
    target = change(before)
    changed = remember(before, target, TEXT)
    check(changed, "changed")
    undone = rollback(changed, TEXT, past_of(changed, TEXT))
    assert without_notes(undone) == without_notes(before)
    again = remember(changed, undone, TEXT)
    assert without_notes(rollback(again, TEXT, past_of(again, TEXT))) == without_notes(target)


def without_notes(document: Document) -> Document:
    plain = copy.deepcopy(document)
    gateway(plain).pop("previous", None)
    return plain


@pytest.mark.parametrize(
    ("services", "kept"), [([], False), (["deployments.http.grpc.servicer:add_to_server"], True)], ids=["off", "on"]
)
def test_the_running_document_keeps_grpc_where_it_is_on(services: list[str], kept: bool) -> None:
    """Serve reports its options also where nothing listens."""
    options = {"port": 9000, "grpc_servicer_functions": services}
    document = from_details({"grpc_options": options, "applications": {}})
    assert document.get("grpc_options") == (options if kept else None)


def test_the_running_document_keeps_the_route_that_serve_leaves_out() -> None:
    shipped = one_version()
    applications = {}
    for app in shipped["applications"]:
        reported = {key: value for key, value in app.items() if value is not None}
        applications[app["name"]] = {"route_prefix": app["route_prefix"], "deployed_app_config": reported}
    details = {"http_options": shipped["http_options"], "proxy_location": "EveryNode", "applications": applications}
    applications["other"] = {"deployed_app_config": None}
    document = from_details(details)
    assert document["applications"] == shipped["applications"]
    check(document, "running")
