"""The server that holds the shared cache: where it is, and a client of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployments.config.cache import SharedCacheConfig
from models.errors import ConfigError

if TYPE_CHECKING:
    from redis.asyncio import Redis

SCHEMES = ("redis://", "rediss://", "unix://")
SOCKET_TIMEOUT_S = 1.0  # no request waits that long: it only decides when a silent connection is closed


def address(config: SharedCacheConfig, environment: Mapping[str, str] = os.environ) -> str:
    """The server's URL, from the environment variable or the file that the configuration names.

    Raises:
        ConfigError: there is none, or it is no Redis URL. The message never holds the URL, which may have a password.
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
    if not url.strip().startswith(SCHEMES):
        raise ConfigError(f"{where}: {source} must hold a URL that begins with {', '.join(SCHEMES)}")
    return url.strip()


def client(url: str, connections: int) -> Redis:
    """A client of the server, which connects when it is used.

    Raises:
        ConfigError: the ``cache`` extra is not installed, or the URL is malformed.
    """
    try:
        from redis.asyncio import ConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise ConfigError("cache.shared needs the extra `cache`: pip install 'embedserve[cache]'") from error
    try:
        pool: Any = ConnectionPool.from_url(
            url,
            max_connections=connections,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=SOCKET_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),  # a retry would come after the request has gone on without
            protocol=2,  # nothing of the newer one is used, and every server speaks it
            driver_info=None,  # spares a round trip on each connection
        )
    except ValueError:
        raise ConfigError("cache.shared: the URL is malformed; right is redis://user:password@host:6379/0") from None
    return Redis.from_pool(pool)


def name(redis: Redis) -> str:
    """Where a client connects to, without credentials, for the log."""
    parts = redis.connection_pool.connection_kwargs
    return str(parts.get("path") or f"{parts.get('host', 'localhost')}:{parts.get('port', 6379)}")
