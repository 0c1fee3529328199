"""Connections to the Redis or Valkey server that holds the shared cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.errors import ConfigError

if TYPE_CHECKING:
    from redis.asyncio import Redis

SOCKET_TIMEOUT_S = 1.0  # no request waits that long: it only decides when a silent connection is closed


def connect(url: str, connections: int) -> Redis:
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


def secrets(client: Redis) -> list[str]:
    """What no line of the log may hold: some servers repeat in an error what they were sent."""
    parts = client.connection_pool.connection_kwargs
    return [str(parts["password"])] if parts.get("password") else []


def server_name(client: Redis) -> str:
    """Where a client connects to, without credentials, for the log."""
    parts = client.connection_pool.connection_kwargs
    return str(parts.get("path") or f"{parts.get('host', 'localhost')}:{parts.get('port', 6379)}")
