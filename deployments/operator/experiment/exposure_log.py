"""What an exposure log says of an experiment: which keys saw which version."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import ConfigError


@dataclass
class Exposed:
    """The keys of one experiment."""

    keys: dict[str, set[str]] = field(
        default_factory=lambda: defaultdict(set)
    )  # by version, hashes of those that weights chose

    @property
    def torn(self) -> int:
        """Keys that saw more than one version, which weights alone never do."""
        versions: dict[str, int] = defaultdict(int)
        for keys in self.keys.values():
            for key in keys:
                versions[key] += 1
        return sum(count > 1 for count in versions.values())


def read(paths: Iterable[Path]) -> dict[str, Exposed]:
    """The keys of each experiment, from access logs.

    Raises:
        ConfigError: a file cannot be read, or no line of any of them says an experiment.
    """
    found: dict[str, Exposed] = defaultdict(Exposed)
    for path in paths:
        try:
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    _add(found, line)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the access log {path}: {error}") from error
    if not found:
        raise ConfigError(
            "no line of the access logs says an experiment and a key: were experiments.exposures on, and did requests have keys?"
        )
    return found


def _add(found: dict[str, Exposed], line: str) -> None:
    try:
        entry: Any = json.loads(line)
    except ValueError:
        return  # the last one of a gateway that was killed
    if isinstance(entry, dict) and entry.get("chosen") == "weight" and entry.get("key_hash"):
        found[str(entry.get("experiment"))].keys[str(entry.get("version"))].add(str(entry["key_hash"]))
