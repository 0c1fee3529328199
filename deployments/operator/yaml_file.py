"""The operator's own file, changed as the service is, so that it stays the truth; comments stay.

A serve_config.yaml, a RayService manifest or patch, or a kustomize folder that lists one.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from deployments.cluster.embedded import find, patch_of, with_preload
from deployments.cluster.serve_file_check import check
from deployments.operator.kube.preload import following, served
from deployments.operator.operations import Operation
from models.errors import ConfigError, EmbedserveError
from models.files import FileChangedError, require_replaceable, write_whole
from models.yaml_edit import edit

LOST = "its layout could not be kept, comments are lost"


@dataclass(frozen=True)
class YamlFile:
    """A configuration file, before and after a change."""

    path: Path
    read: bytes
    after: str
    note: str = ""

    @classmethod
    def changed(cls, path: Path, operation: Operation) -> YamlFile:
        """Apply a change to the document in a file, which may differ from the running one, in its port for example.

        Raises:
            EmbedserveError: the file is invalid, or the change does not fit it; nothing was written.
        """
        if path.is_dir():
            path = patch_of(path)
        read = _read(path)
        text = read.decode()
        found = find(text, str(path))
        if len(found) > 1:
            raise ConfigError(f"{path} holds {len(found)} RayServices; --write takes a file with one")
        if found:
            config, note = _changed(found[0].config, path, operation)
            before, after = (served(yaml.safe_load(one)) for one in (found[0].config, config))
            whole = with_preload(found[0].replaced(text, config), partial(following, before=before, now=after))
            return cls(path, read, whole, note)
        config, note = _changed(text, path, operation)
        return cls(path, read, config, note)

    def diff(self) -> list[str]:
        """What would be written."""
        lines = (self.read.decode().splitlines(), self.after.splitlines())
        return list(difflib.unified_diff(*lines, str(self.path), f"{self.path} (planned)", lineterm=""))

    def require_writable(self) -> None:
        """Find out whether it can be written, before the service is changed.

        Raises:
            ConfigError: it cannot.
        """
        try:
            require_replaceable(self.path)
        except OSError as error:
            raise ConfigError(
                f"--write: {self.path} cannot be written: {error.strerror}; nothing was changed"
            ) from error

    def save(self) -> None:
        """Write it, whole or not at all; links, owner and permissions stay.

        Raises:
            ConfigError: it cannot be written, or somebody edited it since it was read. Their edit stays, and the message
                holds the change that is missing from the file.
        """
        try:
            write_whole(self.path, self.after.encode(), before=self.read)
        except FileChangedError as error:
            missing = "\n".join(self.diff())
            raise ConfigError(f"the service is changed, but {error}; put this into it by hand:\n{missing}") from None
        except OSError as error:
            raise ConfigError(f"the service is changed, but {self.path} cannot be written: {error.strerror}") from error


def _read(path: Path) -> bytes:
    try:
        read = path.read_bytes()
        read.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    return read


def _changed(text: str, path: Path, operation: Operation) -> tuple[str, str]:
    """A configuration's text after a change, and what the change cost."""
    try:
        old = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    check(old, str(path))
    try:
        new = operation(old)
        check(new, str(path))
    except EmbedserveError as error:
        raise ConfigError(f"{path} differs from the cluster, --write cannot follow: {error}") from error
    edited = edit(text, new)
    if edited is not None:
        return edited, ""
    return yaml.safe_dump(new, sort_keys=False, default_flow_style=None, width=120), LOST
