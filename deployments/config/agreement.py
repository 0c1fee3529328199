"""Whether what a gateway and an encoder are told fits together; otherwise one of the two values would never count."""

from __future__ import annotations

from deployments.config.encoder import EncoderConfig
from deployments.config.limits import Limits
from models.errors import ConfigError
from models.modalities import MODALITIES, modality_of


def check_image_keys(gateway: Limits, encoder: EncoderConfig, modality: str, where: str) -> None:
    """Check an encoder's keys about images against its modality and the gateway's limits.

    Whichever is stricter counts. An encoder that is told to allow more than the gateway would never get to; a gateway
    that is told to allow more would let pass what encoders refuse by their defaults.

    Raises:
        ConfigError: a key would do nothing; the message names it and what to do.
    """
    own = modality_of(modality).encoder_keys
    for other in MODALITIES.values():
        idle = next((key for key in other.encoder_keys if key in encoder.model_fields_set and key not in own), None)
        if idle is not None:
            raise ConfigError(
                f"{where}: {idle} is for encoders of {other.noun}, and this one embeds {modality}; remove it"
            )
    if "limits" not in own:
        return
    limits = encoder.limits
    pixels = (gateway.image_pixels, limits.image_pixels)
    formats = (set(gateway.image_formats), set(limits.image_formats))
    for key, wider_here, wider_there in (
        ("image_pixels", pixels[1] > pixels[0], pixels[1] < pixels[0]),
        ("image_formats", not formats[1] <= formats[0], not formats[0] <= formats[1]),
    ):
        said = key in limits.model_fields_set
        if said and wider_here:
            raise ConfigError(
                f"{where}: limits.{key} allows more than limits.{key} in the gateway's user_config, which refuses the "
                f"rest before; raise it there too, or remove it here"
            )
        if not said and wider_there:
            raise ConfigError(
                f"{where}: limits.{key} in the gateway's user_config allows more than this encoder, which would refuse "
                f"the rest; say limits.{key} in the encoder's user_config too"
            )
