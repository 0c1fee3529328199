"""The cache that all gateways share, on a Redis or Valkey server."""
