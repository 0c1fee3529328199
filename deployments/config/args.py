"""``args`` of the applications, which their builders take."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deployments.config.base import Profile, Strict


class GatewayArgs(Strict):
    """``args`` of the gateway's application."""

    profile: Profile = "production"  # a forgotten key must not make the service less safe


class EncoderArgs(Strict):
    """``args`` of an encoder's application."""

    model: str = Field(pattern=r"^[^@]+@[^@]+$")  # name@version
    profile: Profile = "production"  # as the gateway's
    # inside: in the encoder, which then needs cores; a processor decodes an image in 4 ms and embeds it in 60.
    # separate: in a Decoder deployment beside it, for an encoder of images on a GPU. A change restarts the application.
    decode: Literal["inside", "separate"] = "inside"
