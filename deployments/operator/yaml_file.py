"""The operator's own serve_config.yaml, changed as the service is, so that it stays the truth; comments stay."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import yaml

from deployments.cluster.serve_file import ServeConfig
from deployments.cluster.serve_file_check import check
from deployments.operator.operations import Operation
from models.errors import ConfigError, EmbedserveError
from models.files import write_whole
from models.yaml_edit import edit

LOST = "its layout could not be kept, comments are lost"


@dataclass(frozen=True)
class YamlFile:
    """A configuration file, before and after a change."""

    path: Path
    before: str
    after: str
    note: str = ""

    @classmethod
    def changed(cls, path: Path, operation: Operation) -> YamlFile:
        """Apply a change to the document in a file, which may differ from the running one, in its port for example.

        Raises:
            EmbedserveError: the file is invalid, or the change does not fit it; nothing was written.
        """
        old = ServeConfig.load(path).document
        text = path.read_text(encoding="utf-8")
        try:
            new = operation(old)
            check(new, str(path))
        except EmbedserveError as error:
            raise ConfigError(f"{path} differs from the cluster, --write cannot follow: {error}") from error
        edited = edit(text, new)
        if edited is not None:
            return cls(path, text, edited)
        return cls(path, text, yaml.safe_dump(new, sort_keys=False, default_flow_style=None, width=120), LOST)

    def diff(self) -> list[str]:
        """What would be written."""
        lines = (self.before.splitlines(), self.after.splitlines())
        return list(difflib.unified_diff(*lines, str(self.path), f"{self.path} (planned)", lineterm=""))

    def save(self) -> None:
        """Write it, whole or not at all.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            write_whole(self.path, self.after.encode())
        except OSError as error:
            raise ConfigError(f"the service is changed, but {self.path} cannot be written: {error.strerror}") from error
