"""Keys of Ray Serve in serve_config.yaml: unknown ones, and those that would do nothing in this service, are errors.

Serve ignores what it does not know. Of what it knows, some keys concern its own proxies and handles, which requests and
calls here do not pass: HAProxy hands requests to gateways, and gateways call encoders over connections of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy
from ray.serve.schema import (
    DeploymentSchema,
    HTTPOptionsSchema,
    RayActorOptionsSchema,
    ServeApplicationSchema,
    ServeDeploySchema,
    gRPCOptionsSchema,
)

from deployments.autoscaling.policies import POLICIES
from deployments.cluster.hosts import check_host
from models.errors import ConfigError
from models.validation import unknown_key

Role = Literal["gateway", "encoder", "decoder"]
SERVES_POLICY = str(AutoscalingPolicy.model_fields["policy_function"].default)
GATEWAY_POLICY = "deployments.autoscaling.policies:GatewayPolicy"

# Each key with what does its work here.
TLS_IN_FRONT = "TLS ends in front of the service: docs/haproxy-tls.cfg, or an Ingress"
DEADLINE = "queue.timeout_s in the gateway's user_config is the deadline of a request"
GRPC_SERVICES = "deployments.http.grpc.servicer:add_to_server"  # what the gateway answers over gRPC
IDLE_HTTP_OPTIONS = {
    "request_timeout_s": DEADLINE,
    "ssl_keyfile": TLS_IN_FRONT,
    "ssl_certfile": TLS_IN_FRONT,
    "ssl_keyfile_password": TLS_IN_FRONT,
    "ssl_ca_certs": TLS_IN_FRONT,
}
IDLE_IN_AN_APPLICATION = {"autoscaling_policy": "each deployment's autoscaling_config names its policy"}
IDLE_IN_A_DEPLOYMENT: dict[Role, dict[str, str]] = {
    "gateway": {
        "max_queued_requests": "queue.open_requests in its user_config bounds the requests of a gateway",
        "backpressure_config": "a gateway over queue.open_requests answers 503 with Retry-After",
        "request_router_config": "HAProxy chooses the gateway with the fewest requests",
    },
    "encoder": {
        "max_queued_requests": "queue.waiting_items in the gateway's user_config bounds what waits for a version",
        "backpressure_config": "the gateway answers 503 with Retry-After when its queue is full",
        "request_router_config": "gateways choose the replica with the fewest calls",
    },
    "decoder": {"backpressure_config": "decoders are never asked over HTTP"},
}
IDLE_BESIDE_OUR_POLICIES = {
    "target_ongoing_requests": "policy_kwargs.utilisation says how busy replicas should be",
    "aggregation_function": "a policy takes the last report of each replica",
}


def check_service(document: dict[str, Any], where: str) -> None:
    """Check the keys outside of the applications, and how deployments scale.

    The latter before Serve's own schema, which imports the policies: one that cannot be made stops Serve's controller.

    Raises:
        ConfigError: names the key, and what is allowed or does its work.
    """
    _known_keys(document, ServeDeploySchema, where)
    http = document.get("http_options") or {}
    _known_keys(http, HTTPOptionsSchema, f"{where}: http_options")
    _refuse_idle(http, IDLE_HTTP_OPTIONS, f"{where}: http_options")
    check_host(http.get("host"), f"{where}: http_options")
    _check_grpc(document.get("grpc_options") or {}, f"{where}: grpc_options")
    apps = [app for app in _list(document, "applications", where) if isinstance(app, dict)]
    for deployment in (d for app in apps for d in _list(app, "deployments", where) if isinstance(d, dict)):
        _check_scaling(deployment, f"{where}: deployment {deployment.get('name', '?')!r}: autoscaling_config")


def check_application(app: dict[str, Any], where: str) -> None:
    """Check the keys of an application; those of its deployments are ``check_deployment``'s.

    Raises:
        ConfigError: names the key, and what is allowed or does its work.
    """
    _known_keys(app, ServeApplicationSchema, where)
    _refuse_idle(app, IDLE_IN_AN_APPLICATION, where)


def check_deployment(deployment: dict[str, Any], role: Role, where: str) -> None:
    """Check the keys of a deployment.

    Raises:
        ConfigError: names the key, and what is allowed or does its work.
    """
    _known_keys(deployment, DeploymentSchema, where)
    _refuse_idle(deployment, IDLE_IN_A_DEPLOYMENT[role], where)
    _known_keys(deployment.get("ray_actor_options") or {}, RayActorOptionsSchema, f"{where}: ray_actor_options")
    scaled = deployment.get("autoscaling_config") is not None or deployment.get("num_replicas") == "auto"
    if role == "gateway" and scaled and _policy_of(deployment) == SERVES_POLICY:
        raise ConfigError(
            f"{where}: Serve's own autoscaling policy does not see a gateway's requests; set policy_function: "
            f"{GATEWAY_POLICY} under autoscaling_config: policy, or num_replicas to a number"
        )


def _check_grpc(options: dict[str, Any], where: str) -> None:
    """Serve reports the options of a cluster that has no gRPC too: a port without services, which listens nowhere."""
    _known_keys(options, gRPCOptionsSchema, where)
    _refuse_idle(options, {"request_timeout_s": DEADLINE}, where)
    services = options.get("grpc_servicer_functions")
    if services not in (None, [], [GRPC_SERVICES]):
        raise ConfigError(
            f"{where}: grpc_servicer_functions must be [{GRPC_SERVICES!r}], which is all that a gateway answers"
        )


def _policy_of(deployment: dict[str, Any]) -> str:
    """The autoscaling policy of a deployment, by its import path."""
    policy = (deployment.get("autoscaling_config") or {}).get("policy") or {}
    return str(policy.get("policy_function", SERVES_POLICY))


def _check_scaling(deployment: dict[str, Any], where: str) -> None:
    scaling = deployment.get("autoscaling_config") or {}
    _known_keys(scaling, AutoscalingConfig, where)
    policy = scaling.get("policy") or {}
    _known_keys(policy, AutoscalingPolicy, f"{where}: policy")
    name = _policy_of(deployment)
    if name in POLICIES:
        POLICIES[name](**policy.get("policy_kwargs", {}))
        _refuse_idle(scaling, IDLE_BESIDE_OUR_POLICIES, where)
    elif name != SERVES_POLICY:
        allowed = ", ".join((*POLICIES, SERVES_POLICY))
        raise ConfigError(f"{where}: policy_function {name!r} is unknown; allowed: {allowed}")


def _list(mapping: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = mapping.get(key) or []
    if not isinstance(value, list):
        raise ConfigError(f"{where}: {key} must be a list, not {value!r}")
    return value


def _known_keys(mapping: Any, schema: type[BaseModel], where: str) -> None:
    if not isinstance(mapping, dict):
        raise ConfigError(f"{where} must be a mapping")
    unknown = sorted(set(mapping) - set(schema.model_fields))
    if unknown:
        raise ConfigError(f"{where}: {unknown_key(unknown[0], unknown[0], schema.model_fields)}")


def _refuse_idle(mapping: dict[str, Any], idle: Mapping[str, str], where: str) -> None:
    """None passes: Serve reports it of a running cluster for keys that nobody set."""
    for key, instead in idle.items():
        if mapping.get(key) is not None:
            raise ConfigError(f"{where}: {key} does nothing here, remove it: {instead}")
