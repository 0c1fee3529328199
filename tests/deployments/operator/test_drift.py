"""Drift between a manifest and what Serve runs."""

from __future__ import annotations

import copy

from deployments.operator.document import from_details
from deployments.operator.drift import drift, drift_of_versions
from deployments.operator.operations import route
from tests.deployments.operator.documents import TEXT, two_versions
from tests.servers.serve_rest import ServeRest


def served(document: dict) -> ServeRest:
    serve = ServeRest()
    serve.deploy(document)
    return serve


def test_a_document_that_serve_reports_back_has_not_drifted() -> None:
    document = two_versions()
    assert drift(document, from_details(served(document).details())) == []
    reordered = copy.deepcopy(document)
    reordered["applications"].reverse()
    assert drift(document, reordered) == []


def test_drift_names_what_differs() -> None:
    document = two_versions()
    serve = served(route(document, TEXT, {"1.0.0": 90, "1.1.0": 10}, {}))
    lines = drift(document, from_details(serve.details()))
    assert any(line.startswith("+") and "1.1.0: 10" in line for line in lines)
    said = drift_of_versions(document, serve.models())
    assert f"{TEXT}@1.1.0 has 10% of the traffic, 0% in the manifest" in said
    assert drift_of_versions(route(document, TEXT, {"1.0.0": 90, "1.1.0": 10}, {}), serve.models()) == []


def test_versions_that_only_one_of_the_two_has_are_named() -> None:
    document = two_versions()
    without = copy.deepcopy(document)
    del without["applications"][0]["deployments"][0]["user_config"]["models"][TEXT]["versions"]["1.1.0"]
    assert f"{TEXT}@1.1.0 is served, and not in the manifest" in drift_of_versions(without, served(document).models())
    assert f"{TEXT}@1.1.0 is in the manifest, and not served" in drift_of_versions(document, served(without).models())
