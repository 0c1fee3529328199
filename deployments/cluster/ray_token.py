"""Ray's token, without which whoever reaches its ports would run code."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from models.errors import ConfigError

AUTH_MODE: Final = "RAY_AUTH_MODE"
TOKENS: Final = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
TOKEN_FILE: Final = Path(".ray") / "auth_token"  # below the home folder, where Ray leaves and looks for its token


def require_ray_token(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse an environment in which Ray would let in whoever reaches its ports, which are open on every interface.

    Raises:
        ConfigError: says what to do.
    """
    mode = environment.get(AUTH_MODE, "").strip()
    if mode.lower() not in ("", "token"):
        raise ConfigError(
            f"{AUTH_MODE}={mode} would open Ray to the network: its ports listen on every interface, and whoever passes there "
            f"runs code. Unset {AUTH_MODE}, or set it to token"
        )


def own_token(environment: Mapping[str, str]) -> dict[str, str]:
    """A new token for a Ray, where the home folder neither holds one nor lets Ray write one."""
    if any(environment.get(name) for name in TOKENS) or environment.get(AUTH_MODE, "token").lower() != "token":
        return {}
    try:
        file = Path.home() / TOKEN_FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        usable = os.access(file, os.R_OK) if file.exists() else os.access(file.parent, os.W_OK | os.X_OK)
    except (OSError, RuntimeError):  # the latter for a user without a home
        usable = False
    return {} if usable else {TOKENS[0]: secrets.token_hex(32)}
