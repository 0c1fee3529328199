"""``embedserve keys revoke``: a key is no longer accepted."""

from __future__ import annotations

from rich.console import Console

from deployments.cli.json_output import AsJson, print_json
from deployments.cli.keys.key_file import File, Name, named
from models.errors import ConfigError


def revoke(name: Name, file: File = None, as_json: AsJson = False) -> None:
    """Take a key away; a running service refuses it within seconds."""
    from deployments.auth.key_file import changing

    path = named(file)
    with changing(path) as keys:
        left = [key for key in keys if key.name != name]
        if len(left) == len(keys):
            raise ConfigError(f"{path} has no key {name!r}; it has: {', '.join(k.name for k in keys) or 'none'}")
        keys[:] = left
    Console(stderr=True).print(f"{name} is revoked; a service that reads {path} refuses it within seconds")
    if as_json:
        print_json({"name": name, "revoked": True, "file": str(path)})
