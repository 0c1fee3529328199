"""Where the server of the shared cache is."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from deployments.config.cache import SharedCacheConfig
from models.errors import ConfigError


def shared_url(config: SharedCacheConfig, schemes: Collection[str], environment: Mapping[str, str] = os.environ) -> str:
    """The server's URL, from the environment variable or the file that the configuration names.

    Raises:
        ConfigError: there is none, or one with another scheme. No message holds the URL, which may have a password.
    """
    if config.url_env is not None:
        source, url = f"the environment variable {config.url_env}", environment.get(config.url_env, "")
        where = "cache.shared.url_env"
    else:
        where, source = "cache.shared.url_file", f"the file {config.url_file}"
        try:
            url = Path(str(config.url_file)).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{where}: {source} cannot be read: {type(error).__name__}") from error
    if not url.strip():
        raise ConfigError(f"{where}: {source} is empty or not set where the gateway runs")
    if not url.strip().startswith(tuple(f"{scheme}://" for scheme in schemes)):
        begins = ", ".join(f"{scheme}://" for scheme in schemes)
        raise ConfigError(f"{where}: {source} must hold a URL that begins with {begins}")
    return url.strip()
