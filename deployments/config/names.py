"""What applications and deployments are called."""

from __future__ import annotations

from deployments.config.base import Modality


def application_name(model: str, version: str) -> str:
    """The Serve application of one model version: ``text-embedding--1-0-0``."""
    return f"{model}--{version.replace('.', '-')}"


DEPLOYMENT_NAMES: dict[Modality, str] = {"text": "TextEncoder", "image": "ImageEncoder"}
DECODER_NAME = "Decoder"
GATEWAY_APPLICATION = "gateway"
