"""The check of a configuration document: Serve's schema, ours, and whether the parts fit together."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from ray.serve.schema import ServeDeploySchema

from deployments.cluster.applications import gateways, main_deployments, profiles
from deployments.cluster.serve_keys import Role, check_application, check_deployment, check_service
from deployments.cluster.towers_check import check_towers
from deployments.config.agreement import check_image_keys
from deployments.config.args import EncoderArgs, GatewayArgs
from deployments.config.base import parse
from deployments.config.encoder import EncoderConfig
from deployments.config.gateway import GatewayConfig
from deployments.config.names import DECODER_NAME, ENCODER_PATH, GATEWAY_PATH, application_name
from deployments.config.old_import_paths import refuse_old_paths
from deployments.config.routes import REST_AFTER_S
from models.catalog.catalog import Catalog
from models.errors import ConfigError
from models.modalities import MODALITIES
from models.validation import describe

SHORTEST_NAP_S = 2 * REST_AFTER_S  # until a version sleeps: gateways must have stopped asking it, which would wake it


def check(document: Any, where: str) -> None:
    """Check a configuration against Serve's schema and ours, and that the parts fit together.

    Raises:
        ConfigError: names each key that is wrong.
    """
    if not isinstance(document, dict):
        raise ConfigError(f"{where} must be a mapping with the key 'applications'")
    refuse_old_paths(document, where)
    check_service(document, where)
    try:
        ServeDeploySchema.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{where} is invalid: {describe(error)}") from error
    for app in document["applications"]:
        _check_application(app, f"{where}: application {app.get('name', '?')!r}")
    named = sorted(profiles(document))
    if len(named) > 1:
        raise ConfigError(f"{where}: applications have different profiles ({', '.join(named)}); use one")
    _check_routes(document, where)


def _check_application(app: dict[str, Any], where: str) -> None:
    check_application(app, where)
    path = app["import_path"]
    for deployment in app.get("deployments", []):
        check_deployment(deployment, _role(app, deployment), f"{where}: deployment {deployment.get('name', '?')!r}")
    if path == GATEWAY_PATH:
        parse(GatewayArgs, app.get("args", {}), f"{where}: args")
    elif path == ENCODER_PATH:
        args = parse(EncoderArgs, app.get("args", {}), f"{where}: args")
        _check_decoder(app, where)
        if app.get("route_prefix", "/") is not None:
            raise ConfigError(f"{where}: only the gateway is asked over HTTP; write route_prefix: null")
        wanted = application_name(*args.model.split("@"))
        if app["name"] != wanted:
            raise ConfigError(f"{where} serves {args.model}; the gateway looks for it under the name {wanted!r}")
    else:
        allowed = f"{GATEWAY_PATH}, {ENCODER_PATH}"
        raise ConfigError(f"{where}: import_path {path!r} is unknown; allowed: {allowed}")
    deployments = main_deployments(app)
    if not deployments:
        raise ConfigError(f"{where}: deployments is empty; its user_config says what to serve")
    for deployment in deployments:
        config = deployment.get("user_config") or {}
        if path == GATEWAY_PATH:
            _check_open_requests(deployment, parse(GatewayConfig, config, f"{where}: user_config"), where)
        else:
            _check_card(deployment, parse(EncoderConfig, config, f"{where}: user_config"), where)


def _role(app: dict[str, Any], deployment: dict[str, Any]) -> Role:
    if app["import_path"] == GATEWAY_PATH:
        return "gateway"
    return "decoder" if deployment.get("name") == DECODER_NAME else "encoder"


def _check_open_requests(deployment: dict[str, Any], config: GatewayConfig, where: str) -> None:
    """Serve does not count requests for vectors: a lower ``max_ongoing_requests`` would bound only the other requests."""
    most = deployment.get("max_ongoing_requests")
    if most is not None and most < config.queue.open_requests:
        raise ConfigError(
            f"{where}: max_ongoing_requests must be at least queue.open_requests ({config.queue.open_requests}), not "
            f"{most}; lower queue.open_requests to have fewer requests at once"
        )


def _check_card(deployment: dict[str, Any], config: EncoderConfig, where: str) -> None:
    """An encoder that needs a card must reserve one: Ray hides from a replica every card that it did not reserve."""
    gpus = (deployment.get("ray_actor_options") or {}).get("num_gpus") or 0
    if config.provider in ("tensorrt", "cuda") and not gpus:
        raise ConfigError(
            f"{where}: provider: {config.provider} needs a card; set num_gpus (1, or a fraction) in ray_actor_options, "
            f"or provider: auto or cpu"
        )


def _check_decoder(app: dict[str, Any], where: str) -> None:
    """``args.decode: separate`` asks for a decoder, and a deployment of that name scales it: neither works alone."""
    found = [deployment for deployment in app.get("deployments", []) if deployment.get("name") == DECODER_NAME]
    separate = app.get("args", {}).get("decode") == "separate"
    names = {deployment.get("name") for deployment in app.get("deployments", [])}
    whole = next((m for m in MODALITIES.values() if m.deployment in names and not m.portable), None)
    if separate and whole is not None:
        raise ConfigError(f"{where}: args.decode: separate is for models of images; a {whole.deployment} takes inside")
    if separate != bool(found):
        raise ConfigError(
            f"{where}: args.decode is {'separate' if separate else 'inside'} and deployments "
            f"{'lacks' if separate else 'lists'} {DECODER_NAME!r}; 'separate' and that deployment belong together"
        )
    for deployment in found:
        if deployment.get("user_config"):
            raise ConfigError(f"{where}: {DECODER_NAME} takes no user_config; what it must know comes with each call")
        if (deployment.get("autoscaling_config") or {}).get("min_replicas") == 0:
            raise ConfigError(f"{where}: {DECODER_NAME}: min_replicas must be 1 or more, only encoders can sleep")


def _check_sleep(app: dict[str, Any], listed: bool, where: str) -> None:
    """Serve and the gateway are both told whether a version may sleep, and must be told the same."""
    for deployment in main_deployments(app):
        scaling = deployment.get("autoscaling_config") or {}
        if (scaling.get("min_replicas") == 0) != listed:
            raise ConfigError(
                f"{where}: {app['name']} has min_replicas {scaling.get('min_replicas', 1)} and is "
                f"{'' if listed else 'not '}listed in the gateway's scale_to_zero; 0 and listed belong together"
            )
        delay = scaling.get("downscale_to_zero_delay_s", scaling.get("downscale_delay_s", 600))
        if listed and delay < SHORTEST_NAP_S:
            raise ConfigError(
                f"{where}: {app['name']}: downscale_to_zero_delay_s must be at least {SHORTEST_NAP_S:g}, not {delay}"
            )


def _check_routes(document: dict[str, Any], where: str) -> None:
    """Every routed version needs an application, which must fit what the gateway is told of it."""
    apps = {app["name"]: app for app in document["applications"]}
    for app in gateways(document):
        for deployment in app["deployments"]:
            config = parse(GatewayConfig, deployment["user_config"], f"{where}: user_config")
            for model, routes in config.models.items():
                for version in routes.versions:
                    name = application_name(model, version)
                    if name not in apps:
                        raise ConfigError(
                            f"{where}: the gateway routes to {model}@{version}, which no application serves; "
                            f"add one named {name!r} or remove the route"
                        )
                    _check_sleep(apps[name], version in routes.scale_to_zero, where)
                    for encoder in main_deployments(apps[name]):
                        told = parse(EncoderConfig, encoder["user_config"], f"{where}: {name}: user_config")
                        check_image_keys(config.limits, told, routes.type, f"{where}: {name}: user_config")
            if config.towers:
                check_towers(config, _loaded(apps), Catalog.load(), f"{where}: user_config")


def _loaded(apps: dict[str, dict[str, Any]]) -> dict[str, str]:
    """By version the catalogue's entry whose artifact it loads; of a file, the version's own."""
    found = {}
    for app in apps.values():
        if app["import_path"] == ENCODER_PATH:
            model, artifact = app["args"]["model"], main_deployments(app)[0]["user_config"]["artifact"]
            found[model] = artifact if "@" in artifact else model
    return found
