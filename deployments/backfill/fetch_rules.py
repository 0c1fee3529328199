"""Which pictures may be fetched by URL: the service's own rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from deployments.config.fetch import Fetch
from models.errors import ConfigError
from models.validation import describe


def fetch_rules(path: str) -> Fetch:
    """The rules in a file: ``serve_config.yaml``, whose gateway has them, or a file with the mapping ``fetch`` alone.

    Raises:
        ConfigError: it cannot be read, or has none.
    """
    try:
        document = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"--fetch-rules {path} cannot be read: {error}") from error
    found = _found(document)
    if found is None:
        raise ConfigError(f"{path} has no `fetch`: it says which hosts pictures are fetched from, as for the gateway")
    try:
        return Fetch.model_validate(found)
    except ValidationError as error:
        raise ConfigError(f"{path}: fetch: {describe(error)}") from error


def _found(document: Any) -> Any:
    if isinstance(document, dict):
        if "fetch" in document:
            return document["fetch"]
        return next((found for value in document.values() if (found := _found(value)) is not None), None)
    if isinstance(document, list):
        return next((found for value in document if (found := _found(value)) is not None), None)
    return None
