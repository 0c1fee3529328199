"""The schemas by which `embedserve validate` checks a RayService and a RayJob, made of KubeRay's own definitions of them.

python scripts/kuberay_schema.py ray.io_rayservices.yaml ray.io_rayjobs.yaml    # of KubeRay's release: helm-chart/kuberay-operator/crds/

What the API server would only drop is an error in it: every key that the definition does not name. Texts are left out and
what occurs more than once is written once, which makes a megabyte 40 kB. Rules in Kubernetes' expression language stand in it as
JSON Schema says the same; those about changes of an object are left to the API server, which knows the object before.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parent.parent / "deployments" / "cluster"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
OMITTED = frozenset({"description", "default", "format", "nullable"})
WORTH_SHARING = 120  # characters
RULES: dict[str, dict[str, Any]] = {  # of the definitions, each as JSON Schema says it; an unknown one ends this script
    "self in ['ray.io/kuberay-operator', 'kueue.x-k8s.io/multikueue']": {
        "enum": ["ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"]
    },
    "has(self.jobStatus) || has(self.jobDeploymentStatus)": {
        "anyOf": [{"required": ["jobStatus"]}, {"required": ["jobDeploymentStatus"]}]
    },
    "!(has(self.jobStatus) && has(self.jobDeploymentStatus))": {
        "not": {"required": ["jobStatus", "jobDeploymentStatus"]}
    },
    "((has(self.onSuccess) && has(self.onFailure)) || has(self.deletionRules))": {
        "anyOf": [{"required": ["onSuccess", "onFailure"]}, {"required": ["deletionRules"]}]
    },
    "!((has(self.onSuccess) || has(self.onFailure)) && has(self.deletionRules))": {
        "not": {"required": ["deletionRules"], "anyOf": [{"required": ["onSuccess"]}, {"required": ["onFailure"]}]}
    },
}
BEFORE = "oldSelf"  # in rules about changes
# Of Kubernetes' own metadata of every object, which definitions do not repeat.
METADATA = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
]


def schema_of(definition: dict[str, Any]) -> dict[str, Any]:
    """The schema of version v1 in a definition."""
    version = next(version for version in definition["spec"]["versions"] if version["name"] == "v1")
    whole = _strict(version["schema"]["openAPIV3Schema"])
    texts = {"type": "object", "additionalProperties": {"type": "string"}}
    metadata = {name: texts if name in ("annotations", "labels") else {} for name in METADATA}
    whole["properties"]["metadata"] = {"type": "object", "additionalProperties": False, "properties": metadata}
    whole["properties"]["status"] = {"type": "object"}
    whole["properties"]["apiVersion"]["const"] = "ray.io/v1"
    whole["properties"]["kind"]["const"] = definition["spec"]["names"]["kind"]
    counts: Counter[str] = Counter()
    _count(whole, counts)
    names = {text: f"d{number}" for number, text in enumerate(sorted(t for t, n in counts.items() if n > 1))}
    shared = {name: _shared(json.loads(text), names, top=True) for text, name in names.items()}
    return {"$schema": DRAFT, **_shared(whole, names, top=True), "$defs": shared}


def _strict(schema: Any) -> Any:
    """Without what validates nothing, and without room for keys that it does not name."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key not in OMITTED and not key.startswith("x-")}
    strict = {key: _strict(value) for key, value in kept.items() if key != "properties"}
    if schema.get("nullable"):
        strict["type"] = [schema["type"], "null"]
    if "properties" in schema:
        strict["properties"] = {name: _strict(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict.setdefault("additionalProperties", False)
    rules = schema.get("x-kubernetes-validations")
    if isinstance(rules, list) and (said := [_rule(rule) for rule in rules if BEFORE not in rule["rule"]]):
        strict["allOf"] = said
    return strict


def _rule(rule: dict[str, str]) -> dict[str, Any]:
    """A rule as a schema, whose title says what it asks for."""
    text = " ".join(rule["rule"].split())
    if text not in RULES:
        raise SystemExit(f"RULES does not know how JSON Schema says {text!r} ({rule.get('message')})")
    return {"title": " ".join(rule["message"].split()), **RULES[text]}


def _count(schema: Any, counts: Counter[str]) -> None:
    """How often each part occurs; parts of a part that occurred before are not counted again."""
    if _sharable(schema) and len(text := _text(schema)) > WORTH_SHARING:
        counts[text] += 1
        if counts[text] > 1:
            return
    for item in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        _count(item, counts)


def _shared(schema: Any, names: dict[str, str], top: bool = False) -> Any:
    if isinstance(schema, list):
        return [_shared(item, names) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if not top and _sharable(schema) and (name := names.get(_text(schema))):
        return {"$ref": f"#/$defs/{name}"}
    return {key: _shared(value, names) for key, value in schema.items()}


def _sharable(schema: Any) -> bool:
    """Whether it is a schema, and no mapping of names to schemas with one that is named ``type``."""
    return isinstance(schema, dict) and isinstance(schema.get("type"), (str, list))


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True, separators=(",", ":"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="The schemas of a RayService and a RayJob.")
    parser.add_argument(
        "definitions", type=Path, nargs="+", help="KubeRay's ray.io_rayservices.yaml and ray.io_rayjobs.yaml"
    )
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for file in parser.parse_args().definitions:
        definition = yaml.load(file.read_text(encoding="utf-8"), Loader=loader)
        name = f"{definition['spec']['names']['singular']}.schema.json"
        (FOLDER / name).write_text(_written(schema_of(definition)), encoding="utf-8")


def _written(schema: dict[str, Any]) -> str:
    """One shared part a line, so that a change of KubeRay's definition can be read."""
    shared = schema.pop("$defs")
    lines = [f"{json.dumps(name)}: {_text(part)}" for name, part in shared.items()]
    return f'{_text(schema)[:-1]}, "$defs": {{\n' + ",\n".join(lines) + "\n}}\n"


if __name__ == "__main__":
    main()
