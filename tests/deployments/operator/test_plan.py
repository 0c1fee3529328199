from __future__ import annotations

from typing import Any

from deployments.cluster.serve_file_check import check
from deployments.operator.document import artifacts, gateway, routes
from deployments.operator.operations import add, remember, remove, route, swap
from deployments.operator.plan import diff, plan
from tests.deployments.operator.documents import TEXT, one_version, two_versions

Document = dict[str, Any]


def names(document: Document) -> set[str]:
    return {app["name"] for app in document["applications"]}


def test_an_application_comes_before_its_route() -> None:
    steps = plan(one_version(), add(one_version(), "text-embedding@1.1.0")).steps
    assert [set(routes(step.document, TEXT)["versions"]) for step in steps] == [{"1.0.0"}, {"1.0.0", "1.1.0"}]
    assert all("text-embedding--1-1-0" in names(step.document) for step in steps)


def test_a_route_goes_before_its_application_and_drains() -> None:
    steps = plan(two_versions(), remove(two_versions(), "text-embedding@1.1.0", drain=False)).steps
    assert ["text-embedding--1-1-0" in names(step.document) for step in steps] == [True, False]
    assert all("1.1.0" not in routes(step.document, TEXT)["versions"] for step in steps)
    assert [step.drain for step in steps] == [True, False]


def test_a_swap_comes_before_new_weights() -> None:
    target = route(swap(two_versions(), "text-embedding@1.1.0", "text-embedding@1.0.0"), TEXT, {"1.1.0": 100}, {})
    first, second = plan(two_versions(), target).steps
    assert artifacts(first.document, TEXT)["1.1.0"] == "text-embedding@1.0.0"
    assert routes(first.document, TEXT)["versions"] == {"1.0.0": 100, "1.1.0": 0}
    assert routes(second.document, TEXT)["versions"] == {"1.0.0": 0, "1.1.0": 100}


def test_every_step_is_a_valid_configuration() -> None:
    for target in (add(one_version(), "text-embedding@1.1.0"), swap(one_version(), "text-embedding@1.0.0", "x.onnx")):
        for step in plan(one_version(), target).steps:
            check(step.document, step.title)


def test_no_change_has_no_steps_and_notes_are_no_change() -> None:
    noted = remember(one_version(), one_version(), TEXT)
    gateway(noted)["revision"] = 7
    assert plan(one_version(), noted).steps == []
    assert diff(one_version(), noted) == []


def test_the_diff_shows_what_changes_and_nothing_else() -> None:
    lines = diff(two_versions(), route(two_versions(), TEXT, {"1.0.0": 90, "1.1.0": 10}, {}))
    changed = [line.strip() for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---"))]
    assert [line[0] for line in changed] == ["-", "+"]
    assert "1.1.0: 10" in changed[1]
