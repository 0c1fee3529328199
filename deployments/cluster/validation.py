"""The checks of a configuration before it is applied: those of a start, and those that only Kubernetes needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deployments.cluster.applications import encoders, gateways, main_deployments
from deployments.cluster.embedded import KEY, KUSTOMIZATIONS, Embedded, find
from deployments.cluster.hosts import LOOPBACK
from deployments.cluster.kuberay_check import check_kuberay
from deployments.cluster.serve_file_check import check
from deployments.config.names import GATEWAY_PATH
from models.catalog.catalog import Catalog
from models.errors import ConfigError, EmbedserveError

LONGEST_NAME = 47  # characters; KubeRay refuses a longer name of a RayService
BUILD_S = 60


def text_of(path: Path) -> str:
    """What is to be checked: a file's text, standard input for ``-``, or what kustomize makes of a folder.

    Raises:
        ConfigError: it cannot be read, or be built.
    """
    try:
        if str(path) == "-":
            return sys.stdin.read()
        return built(path) if path.is_dir() else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def built(folder: Path) -> str:
    """What kustomize makes of a folder.

    Raises:
        ConfigError: it has no kustomization, kustomize is not installed, or refuses it.
    """
    if not any((folder / name).is_file() for name in KUSTOMIZATIONS):
        raise ConfigError(f"{folder} is a folder without {KUSTOMIZATIONS[0]}; name its files one by one")
    done = subprocess.run(
        [*_kustomize(folder), str(folder)], capture_output=True, text=True, check=False, timeout=BUILD_S
    )
    if done.returncode != 0:
        raise ConfigError(f"{folder} does not build: {done.stderr.strip()}")
    return done.stdout


def _kustomize(folder: Path) -> list[str]:
    beside = str(Path(sys.executable).parent)  # where this project's own environment has kubectl
    for tool, command in (("kustomize", "build"), ("kubectl", "kustomize")):
        if program := shutil.which(tool) or shutil.which(tool, path=beside):
            return [program, command]
    raise ConfigError(
        f"{folder} must be built, and neither kustomize nor kubectl is installed here; where one is: "
        f"`kubectl kustomize {folder} | embedserve validate -`"
    )


def validate(text: str, where: str) -> list[str]:
    """Check every Serve configuration in a text: a Serve file, RayServices, or patches for them; and RayJobs, which have none.

    Returns:
        A line for each that is valid.

    Raises:
        ConfigError: names what is wrong, or says that there is none.
    """
    said = [_rayservice(embedded, where) for embedded in find(text, where)]
    documents = [document for document in _documents(text, where) if document is not None]
    said += [_unfilled(d, where) for d in documents if _is(d, "RayService") and KEY not in (d.get("spec") or {})]
    said += [_rayjob(document, where) for document in documents if _is(document, "RayJob")]
    if said:
        return said
    if len(documents) == 1 and isinstance(documents[0], dict) and "kind" not in documents[0]:
        return [f"{where}: {_config(documents[0], where)}"]
    raise ConfigError(
        f"{where} holds no Serve configuration: neither 'applications', nor a RayService with serveConfigV2, nor a RayJob"
    )


def _documents(text: str, where: str) -> Iterator[Any]:
    try:
        yield from yaml.safe_load_all(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"cannot read {where}: {error}") from error


def _rayservice(embedded: Embedded, where: str) -> str:
    name = f"{where}: RayService {embedded.service}".rstrip()
    if len(embedded.service) > LONGEST_NAME:
        raise ConfigError(f"{name}: a name has at most {LONGEST_NAME} characters, this one {len(embedded.service)}")
    if embedded.resource:  # a JSON patch has none
        check_kuberay(embedded.resource, name)
    place = f"{name}: serveConfigV2"
    documents = list(_documents(embedded.config, place))
    if len(documents) != 1:
        raise ConfigError(f"{place} must be one YAML document, not {len(documents)}")
    said = _config(documents[0], place)
    host = (documents[0].get("http_options") or {}).get("host")
    if host in LOOPBACK:
        raise ConfigError(f"{place}: http_options.host is {host}: no Service reaches it there; write 0.0.0.0 or '::'")
    return f"{name}: {said}"


def _is(document: Any, kind: str) -> bool:
    return isinstance(document, dict) and document.get("kind") == kind


def _rayjob(resource: dict[str, Any], where: str) -> str:
    name = f"{where}: RayJob {(resource.get('metadata') or {}).get('name', '')}".rstrip()
    check_kuberay(resource, name)
    return f"{name}: valid"


def _unfilled(resource: dict[str, Any], where: str) -> str:
    """A RayService whose Serve configuration stands in another file."""
    name = f"{where}: RayService {(resource.get('metadata') or {}).get('name', '')}".rstrip()
    check_kuberay(resource, name)
    return f"{name}: no {KEY} here, the rest is valid"


def _config(document: Any, where: str) -> str:
    check(document, where)
    if not any(gateways(document)):
        raise ConfigError(
            f"{where}: no application is a gateway (import_path: {GATEWAY_PATH}): nothing would be served"
        )
    catalog = Catalog.load()
    for app in encoders(document):
        for deployment in main_deployments(app):
            try:
                _artifact(app["args"]["model"], deployment["user_config"], catalog)
            except EmbedserveError as error:
                raise ConfigError(f"{where}: application {app['name']!r}: {error}") from error
    return f"{len(document['applications'])} applications, valid"


def _artifact(model: str, told: dict[str, Any], catalog: Catalog) -> None:
    """The version and its artifact are in the catalogue and fit; a path can only be tried on the nodes that have it."""
    label = catalog.find(model)
    if "@" not in told["artifact"]:
        return
    spec = catalog.find(told["artifact"])
    if (spec.type, spec.dimensions) != (label.type, label.dimensions):
        raise ConfigError(
            f"{spec.reference} is {spec.type} with {spec.dimensions} dimensions, {label.reference} is {label.type} with "
            f"{label.dimensions}: it cannot be its artifact"
        )
    pinned = told.get("hash")
    if pinned and spec.hash and pinned != spec.hash:
        raise ConfigError(
            f"hash is {pinned}, and the catalogue's {spec.reference} has {spec.hash}: no encoder loads it"
        )
