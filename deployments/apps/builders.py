"""The builders that serve_config.yaml names.

Serve reads their annotations as objects to parse ``args``, so that this module does without postponed annotations.
"""

from typing import Any

from ray.serve import Application

from deployments.apps.decoder import Decoder
from deployments.apps.gateway import Gateway
from deployments.config.args import EncoderArgs, GatewayArgs, ImageEncoderArgs
from deployments.encoder.encoder import ImageEncoder, TextEncoder
from models.catalog.catalog import Catalog
from models.errors import ConfigError


def gateway(args: GatewayArgs) -> Application:
    """The ingress application."""
    return bind(Gateway, args.profile)


def text_encoder(args: EncoderArgs) -> Application:
    """The application of one version of a text model."""
    _require(args.model, "text")
    return bind(TextEncoder, args.model, args.profile)


def image_encoder(args: ImageEncoderArgs) -> Application:
    """The application of one version of an image model, with its decoder where that is a deployment of its own."""
    _require(args.model, "image")
    if args.decode == "separate":
        return bind(ImageEncoder, args.model, args.profile, bind(Decoder))
    return bind(ImageEncoder, args.model, args.profile)


def bind(deployment: Any, *args: str | Application) -> Application:
    """Bind a class that Serve's decorators turned into a deployment, which type checkers do not see."""
    application: Application = deployment.bind(*args)
    return application


def _require(reference: str, kind: str) -> None:
    actual = Catalog.load().find(reference).type
    if actual != kind:
        raise ConfigError(
            f"{reference} is of type {actual}; its import_path must be deployments.apps.builders:{actual}_encoder"
        )
