"""What applications and deployments are called, and where their builders are."""

from __future__ import annotations

from models.modalities import modality_of

DECODER_NAME = "Decoder"
GATEWAY_APPLICATION = "gateway"
GATEWAY_PATH = "deployments.apps.builders:gateway"  # the import path of its application
ENCODER_PATH = "deployments.apps.builders:encoder"  # and of each version's


def application_name(model: str, version: str) -> str:
    """The Serve application of one model version: ``text-embedding--1-0-0``."""
    return f"{model}--{version.replace('.', '-')}"


def deployment_name(modality: str) -> str:
    """The Serve deployment of a modality's encoders: ``TextEncoder``."""
    return modality_of(modality).deployment
