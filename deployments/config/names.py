"""What applications and deployments are called."""

from __future__ import annotations

from models.modalities import modality_of


def application_name(model: str, version: str) -> str:
    """The Serve application of one model version: ``text-embedding--1-0-0``."""
    return f"{model}--{version.replace('.', '-')}"


def deployment_name(modality: str) -> str:
    """The Serve deployment of a modality's encoders: ``TextEncoder``."""
    return modality_of(modality).deployment


DECODER_NAME = "Decoder"
GATEWAY_APPLICATION = "gateway"
GATEWAY_PATH = "deployments.apps.builders:gateway"  # the import paths of applications
ENCODER_PATH = "deployments.apps.builders:encoder"
