"""The last revisions of a RayService's Serve configuration, each with who made it: a ConfigMap beside it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import yaml

from deployments.operator.document import Document
from deployments.operator.kube.api import ATTEMPTS, ChangedError, KubeApi, MissingError, Resource
from models.errors import ConfigError, UnavailableError

REVISIONS = 50  # kept at most
BYTES = 700_000  # kept at most: etcd takes 1.5 MB, Kubernetes 1 MiB of a ConfigMap
ELSEWHERE = "another tool (kubectl, GitOps)"


@dataclass(frozen=True)
class Revision:
    """A configuration that stood, and how it came to stand."""

    number: int
    at: str  # ISO 8601, UTC
    by: str
    command: str
    result: str  # "done", "went back", or "found": somebody else wrote it, or the command's end was not seen
    config: str  # serveConfigV2

    @property
    def document(self) -> Document:
        """The configuration."""
        document: Document = yaml.safe_load(self.config)
        return document


class History:
    """The revisions in a ConfigMap; every write is a compare-and-swap on it."""

    def __init__(self, api: KubeApi, service: str) -> None:
        """Of one RayService."""
        self._api = api
        self.name = f"{service}-history"

    def revisions(self) -> list[Revision]:
        """The oldest first; empty where no command has changed the service yet."""
        return _parse(self._read())

    def append(self, revision: Revision) -> int:
        """Add a revision, under the next number that is free; the oldest go where there are too many.

        Raises:
            UnavailableError: others kept on writing.
        """
        tried: Revision | None = None
        for _ in range(ATTEMPTS):
            held = self._read()
            kept = _parse(held)
            if tried in kept:
                return revision.number  # the answer to its write was lost
            revision = tried = replace(revision, number=max([revision.number, *(old.number + 1 for old in kept)]))
            added = {_key(revision.number): _text(asdict(revision))}
            try:
                if held is None:
                    self._api.create("ConfigMap", self._new(added))
                else:
                    gone = dict.fromkeys(_surplus(held.get("data") or {}, added))
                    version = {"resourceVersion": held["metadata"]["resourceVersion"]}
                    self._api.merge("ConfigMap", self.name, {"metadata": version, "data": {**gone, **added}})
            except ChangedError:
                continue
            return revision.number
        raise UnavailableError(f"the ConfigMap {self.name} is written by others all the time; try again")

    def _read(self) -> Resource | None:
        try:
            return self._api.get("ConfigMap", self.name)
        except MissingError:
            return None

    def _new(self, data: dict[str, str]) -> Resource:
        labels = {"app.kubernetes.io/part-of": "embedserve", "app.kubernetes.io/managed-by": "embedserve"}
        return {"metadata": {"name": self.name, "namespace": self._api.namespace, "labels": labels}, "data": data}


def find(revisions: list[Revision], number: int) -> Revision:
    """The revision of a number.

    Raises:
        ConfigError: it is not kept; the message says which are.
    """
    for revision in revisions:
        if revision.number == number:
            return revision
    kept = f"{revisions[0].number} to {revisions[-1].number}" if revisions else "none"
    raise ConfigError(f"revision {number} is not kept; there are: {kept}")


def _parse(held: Resource | None) -> list[Revision]:
    found = []
    for key, text in sorted(((held or {}).get("data") or {}).items()):
        try:
            found.append(Revision(**yaml.safe_load(text)))
        except (yaml.YAMLError, TypeError) as error:
            raise ConfigError(f"the history's entry {key} cannot be read: {error}; remove it with kubectl") from error
    return found


def _surplus(data: dict[str, str], added: dict[str, str]) -> list[str]:
    """The oldest entries that must go so that the new one has room."""
    keys = sorted(data)
    most = BYTES - sum(len(text.encode()) for text in added.values())
    gone = []
    while keys and (len(keys) >= REVISIONS or sum(len(data[key].encode()) for key in keys) > most):
        gone.append(keys.pop(0))
    return gone


def _key(number: int) -> str:
    return f"{number:08d}"


class _Block(yaml.SafeDumper):
    """Writes text of several lines as such, so that `kubectl get configmap` shows it readably."""


def _block(dumper: yaml.SafeDumper, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Block.add_representer(str, _block)


def _text(entry: dict[str, Any]) -> str:
    return str(yaml.dump(entry, Dumper=_Block, sort_keys=False, width=120, allow_unicode=True))
