"""Checks of a configuration on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from deployments.auth.key_file import FILE_VARIABLE, INLINE_VARIABLE, load_keys, read_keys
from deployments.cluster import hosts
from deployments.cluster.ports import holder, port_taken
from deployments.cluster.serve_file import ServeConfig
from deployments.doctor.finding import Check, Finding
from models.catalog.catalog import Catalog
from models.catalog.record import is_synthetic
from models.catalog.store import kept_artifact
from models.http_client import outward

HUB = "https://huggingface.co"
HUB_TIMEOUT_S = 5.0
SOON_S = 14 * 86400.0  # a key that expires sooner is worth a line


def checks(path: Path | None) -> dict[str, Check]:
    """The checks of the configuration in a file, ``./serve_config.yaml`` by default.

    Raises:
        ConfigError: it is missing or invalid.
    """
    config = ServeConfig.load(path)
    names = {"port": port, "models": models, "keys": keys}
    return {name: partial(check, config) for name, check in names.items()}


def port(config: ServeConfig) -> Iterator[Finding]:
    """Whether the service can listen."""
    yield _listening(config.host, config.port, "port", f"`make run PORT={config.port + 1}`")
    if config.grpc_port is not None:
        yield _listening(config.host, config.grpc_port, "port for gRPC", "grpc_options.port")


def _listening(host: str, number: int, about: str, instead: str) -> Finding:
    if port_taken(number):
        what = f"{number} is taken by {holder(number)}"
        return Finding(about, "wrong", what, f"end it, or choose another port: {instead}")
    if refusal := hosts.refusal(host, number):
        return Finding(about, "wrong", refusal)
    return Finding(about, "good", f"{number} on {host} is free")


def models(config: ServeConfig) -> Iterator[Finding]:
    """Which artifacts are here, and whether those that are missing can be fetched."""
    catalog = Catalog.load()
    missing = []
    for reference in config.artifacts():
        kept = kept_artifact(catalog.find(reference)) if "@" in reference else None
        if kept is None and "@" in reference:
            missing.append(reference)
        elif kept is not None and is_synthetic(kept):
            remedy = "where a hub answers: `embedserve models pull`; production refuses them"
            yield Finding("models", "note", f"{reference} has random weights: its vectors mean nothing", remedy)
        else:
            yield Finding("models", "good", f"{reference} is here")
    if missing:
        yield _source(missing)


def _source(missing: list[str]) -> Finding:
    names, hub = ", ".join(missing), os.environ.get("HF_ENDPOINT", HUB)
    try:
        with outward(timeout=HUB_TIMEOUT_S) as client:
            client.head(hub)
    except Exception as error:  # a proxy, a name, a certificate: whatever keeps the hub away
        what = f"{names} must be fetched, and the hub {hub} does not answer: {error}"
        return Finding("models", "note", what, "packages are tried next; HF_ENDPOINT names a mirror")
    return Finding("models", "good", f"{names} will be fetched from {hub} at the start")


def keys(config: ServeConfig) -> Iterator[Finding]:
    """Whether the keys that the configuration asks for can be read, and when they expire."""
    inline, file = os.environ.get(INLINE_VARIABLE), os.environ.get(FILE_VARIABLE)
    if config.auth != "keys" or (inline is None and file is None):
        yield _without_keys(config)
        return
    found = (read_keys(inline, INLINE_VARIABLE) if inline is not None else load_keys(Path(str(file)))).keys
    now = time.time()
    valid = [key for key in found if not key.expired(now)]
    yield Finding("keys", "good" if valid else "wrong", f"{len(valid)} of {len(found)} are valid")
    for key in valid:
        if key.expired(now + SOON_S):
            what = f"{key.name} expires at {key.expires:%Y-%m-%d %H:%M}"
            yield Finding("keys", "note", what, "`embedserve keys create` makes its successor")


def _without_keys(config: ServeConfig) -> Finding:
    if config.auth == "keys" and "production" in config.profiles:
        what = f"production asks for keys, and neither {FILE_VARIABLE} nor {INLINE_VARIABLE} names any"
        return Finding("keys", "wrong", what, "`embedserve keys create` makes one")
    if config.host in ("127.0.0.1", "::1", "localhost"):
        return Finding("keys", "good", f"none are asked for; only this machine reaches {config.host}")
    remedy = f"`embedserve keys create`, and its file in {FILE_VARIABLE}"
    return Finding("keys", "note", f"none are asked for, and {config.host} is reached from other machines", remedy)
