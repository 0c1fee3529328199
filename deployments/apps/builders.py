"""The builders that serve_config.yaml names.

Serve reads their annotations as objects to parse ``args``, so that this module does without postponed annotations.
"""

from typing import Any

from ray.serve import Application

from deployments.apps.decoder import Decoder
from deployments.apps.encoder import Encoder
from deployments.apps.gateway import Gateway
from deployments.config.args import EncoderArgs, GatewayArgs
from models.catalog.catalog import Catalog
from models.errors import ConfigError


def gateway(args: GatewayArgs) -> Application:
    """The ingress application."""
    return bind(Gateway, args.profile)


def encoder(args: EncoderArgs) -> Application:
    """The application of one model version, with its decoder where that is a deployment of its own."""
    modality = Catalog.load().find(args.model).modality
    deployment = Encoder.options(name=modality.deployment)  # type: ignore[attr-defined]
    if args.decode == "inside":
        return bind(deployment, args.model, args.profile)
    if not modality.portable:
        raise ConfigError(f"args.decode: separate is for models of images; {args.model} embeds {modality.noun}")
    return bind(deployment, args.model, args.profile, bind(Decoder))


def bind(deployment: Any, *args: str | Application) -> Application:
    """Bind a class that Serve's decorators turned into a deployment, which type checkers do not see."""
    application: Application = deployment.bind(*args)
    return application
