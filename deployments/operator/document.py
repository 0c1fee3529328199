"""The configuration document of a running service, and where to find things in it. Pure functions."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from deployments.cluster import applications
from deployments.cluster.applications import main_deployments
from deployments.config.names import GATEWAY_APPLICATION, application_name
from models.errors import ConfigError, ModelNotFoundError

Document = dict[str, Any]
KEPT = (
    "proxy_location",
    "http_options",
    "grpc_options",
    "target_capacity",
)  # of what Serve reports beside the applications


def from_details(details: Mapping[str, Any]) -> Document:
    """The document that a cluster was last asked for, out of what Serve reports.

    Serve leaves out keys whose value is null. ``route_prefix`` is put back: without its null, an encoder would ask for
    ``/``, which is the gateway's.
    """
    document: Document = {key: copy.deepcopy(details[key]) for key in KEPT if details.get(key) is not None}
    if not document.get("grpc_options", {}).get("grpc_servicer_functions"):
        document.pop("grpc_options", None)  # what Serve reports where there is no gRPC
    deployed = []
    for reported in details.get("applications", {}).values():
        config = copy.deepcopy(reported.get("deployed_app_config"))
        if config is None or reported.get("status") == "DELETING":
            continue
        config.setdefault("route_prefix", reported.get("route_prefix"))
        deployed.append(config)
    document["applications"] = deployed
    return document


def gateway(document: Document) -> dict[str, Any]:
    """The gateway's ``user_config``, to read or to change.

    Raises:
        ConfigError: no gateway is deployed.
    """
    for app in applications.gateways(document):
        config: dict[str, Any] = app["deployments"][0]["user_config"]
        return config
    raise ConfigError("the configuration has no gateway application; `embedserve up` or `serve deploy` starts one")


def gateway_name(document: Document) -> str:
    """The gateway's application."""
    return next((app["name"] for app in applications.gateways(document)), GATEWAY_APPLICATION)


def routes(document: Document, model: str) -> dict[str, Any]:
    """The versions, weights and shadow of a model, to read or to change.

    Raises:
        ModelNotFoundError: the gateway does not know it; the message lists what it knows.
    """
    models = gateway(document)["models"]
    if model not in models:
        raise ModelNotFoundError(f"no model {model!r} is served here; there are: {', '.join(models)}")
    found: dict[str, Any] = models[model]
    return found


def require_routed(document: Document, model: str, version: str) -> None:
    """Refuse a version that the gateway does not list.

    Raises:
        ModelNotFoundError: names the versions that it lists, and how to add one.
    """
    versions = routes(document, model)["versions"]
    if version not in versions:
        raise ModelNotFoundError(
            f"{model}@{version} is not served here; there are: {', '.join(versions)}. "
            f"`embedserve add {model}@{version}` adds a version of the catalogue"
        )


def encoders(document: Document, model: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each version of a model that has an application, with that application."""
    for app in applications.encoders(document):
        name, _, version = str(app.get("args", {}).get("model", "")).partition("@")
        if name == model:
            yield version, app


def encoder(document: Document, model: str, version: str) -> dict[str, Any]:
    """The application of one version.

    Raises:
        ModelNotFoundError: there is none.
    """
    for found, app in encoders(document, model):
        if found == version:
            return app
    raise ModelNotFoundError(
        f"no application {application_name(model, version)!r} serves {model}@{version}; "
        f"`embedserve add {model}@{version}` deploys it"
    )


def user_config(app: dict[str, Any]) -> dict[str, Any]:
    """The ``user_config`` of an encoder's application, to read or to change."""
    config: dict[str, Any] = main_deployments(app)[0]["user_config"]
    return config


def artifacts(document: Document, model: str) -> dict[str, str]:
    """What each version of a model loads."""
    return {version: user_config(app)["artifact"] for version, app in encoders(document, model)}


def part(document: Document, model: str) -> dict[str, Any]:
    """All that a document says of one model: its routing, and its applications by version."""
    return {"routes": gateway(document)["models"].get(model), "applications": dict(encoders(document, model))}


def shrink_margin(document: Document, reference: str) -> int | None:
    """The ``shrink_margin`` with which a version's encoder decodes large JPEGs; none where it decodes every pixel."""
    margin: int | None = user_config(encoder(document, *split(reference))).get("shrink_margin")
    return margin


def profile(document: Document) -> str:
    """The profile of the applications."""
    return next((app.get("args", {}).get("profile", "production") for app in document["applications"]), "production")


def split(reference: str) -> tuple[str, str]:
    """``name@version`` in its two parts.

    Raises:
        ConfigError: it has no version.
    """
    model, _, version = reference.partition("@")
    if not model or not version:
        raise ConfigError(f"{reference!r} must be name@version, such as text-embedding@1.0.0")
    return model, version
