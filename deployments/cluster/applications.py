"""The applications of a configuration document: which is the gateway, which serve model versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deployments.config.names import DECODER_NAME, ENCODER_PATH, GATEWAY_PATH


def gateways(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Applications of gateways; a service has one."""
    return (app for app in document["applications"] if app["import_path"] == GATEWAY_PATH)


def encoders(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Applications of model versions."""
    return (app for app in document["applications"] if app["import_path"] == ENCODER_PATH)


def main_deployments(app: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The deployments of an application that serve by their ``user_config``: all but a decoder."""
    return [deployment for deployment in app.get("deployments", []) if deployment.get("name") != DECODER_NAME]


def sleeps(deployment: Mapping[str, Any]) -> bool:
    """Whether a deployment has no replica until somebody asks it."""
    return (deployment.get("autoscaling_config") or {}).get("min_replicas") == 0


def profiles(document: Mapping[str, Any]) -> set[str]:
    """The profiles of the applications; a service has one."""
    return {app.get("args", {}).get("profile", "production") for app in document["applications"]}
