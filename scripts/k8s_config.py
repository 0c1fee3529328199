"""The Serve configuration inside the Kubernetes manifests, generated from serve_config.yaml.

python scripts/k8s_config.py --check         # exit code 1 and names where the manifests differ
python scripts/k8s_config.py --write         # renews them
python scripts/k8s_config.py --print base    # the configuration alone, as `serve deploy` reads it
python scripts/k8s_config.py --write ~/mine  # in an overlay of your own, which says in variant.yaml what it changes
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from deployments.cluster.on_cards import run_on_cards
from scripts.k8s_variant import SETTINGS, Variant, variant_of, variants

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "serve_config.yaml"
CATALOG = ROOT / "models" / "catalog.yaml"
MANIFESTS = ROOT / "k8s"
FILE = "serve-config.yaml"
# True of nodes without the label too, so that it holds on machines without Kubernetes.
NOT_BESIDE_A_GPU = {"embedserve/pool": "!gpu"}
HEADER = """\
# Generated from serve_config.yaml: change that and run `python scripts/k8s_config.py --write`.
apiVersion: ray.io/v1
kind: RayService
metadata:
  name: {service}
spec:
  serveConfigV2: |
{config}---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {service}-preload
data:
  EMBEDSERVE_PRELOAD: {preload}
  EMBEDSERVE_PROFILE: {profile}
"""


VARIANTS = variants(MANIFESTS)


def cluster_config(document: dict[str, Any], variant: Variant) -> dict[str, Any]:
    """The configuration that a cluster of this variant runs."""
    changed = copy.deepcopy(document)
    # On loopback, neither the Service nor the gateways of other pods would reach HAProxy.
    changed.setdefault("http_options", {})["host"] = "0.0.0.0"
    for app in changed["applications"]:
        app.setdefault("args", {})["profile"] = variant.profile
        for deployment in app.get("deployments", []):
            _multiply(deployment, variant)
    if variant.on_cards:
        run_on_cards(changed, variant.on_cards, _catalogue())
    for app in changed["applications"]:
        for deployment in app.get("deployments", []):
            _place(deployment, variant)
            if variant.profile == "production":
                _pin(deployment.get("user_config") or {})
            deployment.get("user_config", {}).pop("precision", None)  # nodes differ: a cluster names its artifacts
    return changed


def _pin(user_config: dict[str, Any]) -> None:
    """Name the artifact's content hash where the catalogue does: an encoder loads no other."""
    model, _, version = user_config.get("artifact", "").partition("@")
    entry = _catalogue().get(model, {}).get(version, {})
    if "hash" in entry:
        user_config.setdefault("hash", entry["hash"])


def _catalogue() -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(CATALOG.read_text(encoding="utf-8"))["models"]
    return found


def _multiply(deployment: dict[str, Any], variant: Variant) -> None:
    """At least as many replicas as the variant says; what sleeps may sleep on."""
    scaling = deployment.get("autoscaling_config", {})
    if variant.replicas > 1 and scaling and scaling.get("min_replicas", 1) > 0:
        scaling["min_replicas"] = max(scaling.get("min_replicas", 1), variant.replicas)
        scaling["max_replicas"] = max(scaling.get("max_replicas", 1), variant.replicas)


def _place(deployment: dict[str, Any], variant: Variant) -> None:
    options = deployment.setdefault("ray_actor_options", {})
    if not options.get("num_gpus"):
        options["label_selector"] = dict(NOT_BESIDE_A_GPU)
    if variant.replicas > 1:
        # Otherwise one lost node could take both gateways, or all of a version. What stays free on a node is for other versions.
        deployment["max_replicas_per_node"] = 1


class _Plain(yaml.SafeDumper):
    """Writes no anchors, so that whoever reads a manifest sees every value in its place."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - yaml's name
        """Write equal values out each time."""
        return True


def serve_yaml(document: dict[str, Any]) -> str:
    """A configuration as text."""
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, width=100, default_flow_style=False)


def manifest(document: dict[str, Any], variant: Variant) -> str:
    """The patch that puts a variant's configuration into the RayService."""
    config = cluster_config(document, variant)
    text = "".join(f"    {line}\n" for line in serve_yaml(config).splitlines())
    return HEADER.format(
        service=variant.service, config=text, preload=" ".join(artifacts(config)), profile=variant.profile
    )


def artifacts(config: dict[str, Any]) -> list[str]:
    """The catalogue's versions that a configuration serves, which every worker has before its first replica starts."""
    deployments = [deployment for app in config["applications"] for deployment in app.get("deployments", [])]
    named = [(deployment.get("user_config") or {}).get("artifact", "") for deployment in deployments]
    return list(dict.fromkeys(name for name in named if "@" in name))


def embedded(text: str) -> dict[str, Any]:
    """The Serve configuration inside a manifest, or inside the RayService of a built overlay."""
    for resource in yaml.safe_load_all(text):
        if resource and resource.get("kind") == "RayService" and "serveConfigV2" in resource.get("spec", {}):
            config: dict[str, Any] = yaml.safe_load(resource["spec"]["serveConfigV2"])
            return config
    raise ValueError("no RayService with serveConfigV2 among the documents")


def drifted(source: Path = SOURCE, manifests: Path = MANIFESTS, own: Sequence[Path] = ()) -> dict[Path, str]:
    """The manifests that differ from what the source would give, with what they should hold.

    Args:
        source: the Serve file.
        manifests: the folder whose variants are looked at.
        own: folders elsewhere, which are looked at instead.
    """
    document = yaml.safe_load(source.read_text(encoding="utf-8"))
    found = [variant_of(folder.absolute(), manifests) for folder in own] or variants(manifests)
    wanted = {manifests / variant.folder / FILE: manifest(document, variant) for variant in found}
    return {
        path: text for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="The Serve configuration inside the Kubernetes manifests.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="exit code 1 where manifests differ from the Serve file")
    action.add_argument("--write", action="store_true", help="renew the manifests")
    action.add_argument("--print", dest="folder", help="the configuration of one folder, below k8s/ or anywhere")
    parser.add_argument("--source", type=Path, default=SOURCE, help="the Serve file; the repository's by default")
    parser.add_argument("own", nargs="*", type=Path, help="overlays of your own, each with a variant.yaml")
    options = parser.parse_args()
    try:
        return _print(options) if options.folder else _renew(options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _print(options: argparse.Namespace) -> int:
    below = MANIFESTS / options.folder
    variant = variant_of(below if (below / SETTINGS).is_file() else Path(options.folder).absolute(), MANIFESTS)
    document = yaml.safe_load(options.source.read_text(encoding="utf-8"))
    sys.stdout.write(serve_yaml(cluster_config(document, variant)))
    return 0


def _renew(options: argparse.Namespace) -> int:
    changes = drifted(options.source, own=options.own)
    for path, text in changes.items():
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        if options.write:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
        else:
            print(f"{name} differs from {options.source.name}; run `python scripts/k8s_config.py --write`")
    return 1 if changes and not options.write else 0


if __name__ == "__main__":
    sys.exit(main())
