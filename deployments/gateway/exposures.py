"""The keyed hash under which an exposure log knows a routing key."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from pathlib import Path

from deployments.config.experiments import Exposures
from models.errors import ConfigError

SHORTEST = 16  # bytes of a secret; keys are often numbers, and with a guessed secret anybody can try them all


def read_secret(config: Exposures, environment: Mapping[str, str] = os.environ) -> bytes:
    """The operator's secret, from the environment variable or the file that the configuration names.

    Raises:
        ConfigError: there is none, or one that is too short. No message holds it.
    """
    if config.secret_env is not None:
        where, source = "experiments.exposures.secret_env", f"the environment variable {config.secret_env}"
        secret = environment.get(config.secret_env, "").strip().encode("utf-8", "surrogateescape")
    else:
        where, source = "experiments.exposures.secret_file", f"the file {config.secret_file}"
        try:
            secret = Path(str(config.secret_file)).read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"{where}: {source} cannot be read: {error.strerror}") from error
    if not secret:
        raise ConfigError(
            f"{where}: {source} is empty or not set; it must hold a secret, such as `openssl rand -hex 32`"
        )
    if len(secret) < SHORTEST:
        raise ConfigError(
            f"{where}: the secret in {source} has {len(secret)} bytes and needs {SHORTEST}; `openssl rand -hex 32` makes one"
        )
    return secret


def key_hash(secret: bytes, key: str) -> str:
    """HMAC-SHA256 of a routing key, 64 hex digits; the same for the same secret everywhere."""
    return hmac.digest(secret, key.encode("utf-8", "surrogatepass"), "sha256").hex()
