"""What KubeRay's operator refuses of a RayService that its definition allows: the API server takes it, and then nothing happens.

From ``utils/validation.go`` of KubeRay 1.7, as far as it concerns what an overlay of this service changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

Resource = dict[str, Any]
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
STEPS = "NewClusterWithIncrementalUpgrade"
STRATEGIES = ("NewCluster", STEPS, "None")
TOKEN_SINCE = (2, 52)
V2_VARIABLE = "RAY_enable_autoscaler_v2"  # the older way to say autoscalerOptions.version: v2
OF_REDIS = {"RAY_REDIS_ADDRESS": "redisAddress", "REDIS_PASSWORD": "redisPassword"}


def broken_rules(service: Resource) -> Iterator[str]:
    """Each rule that a whole RayService breaks; its keys are known and of their types."""
    spec = service["spec"]
    cluster = spec["rayClusterConfig"]
    name = str((service.get("metadata") or {}).get("name", ""))
    if name and not DNS_LABEL.fullmatch(name):
        yield f"metadata.name must be lower-case letters, digits and '-', and begin with a letter, not {name!r}"
    yield from _strategy(spec, cluster)
    for number, group in enumerate(cluster.get("workerGroupSpecs") or ()):
        yield from _group(group, cluster, f"spec.rayClusterConfig.workerGroupSpecs[{number}]")
    yield from _head(cluster)


def _strategy(spec: Resource, cluster: Resource) -> Iterator[str]:
    strategy = spec.get("upgradeStrategy") or {}
    kind = strategy.get("type", STRATEGIES[0])
    if kind not in STRATEGIES:
        yield f"spec.upgradeStrategy.type must be one of {', '.join(STRATEGIES)}, not {kind!r}"
    if kind != STEPS:
        return
    if not cluster.get("enableInTreeAutoscaling"):
        yield f"spec.rayClusterConfig.enableInTreeAutoscaling must be true where upgrades go in steps ({STEPS})"
    options = strategy.get("clusterUpgradeOptions")
    if not options:
        yield f"spec.upgradeStrategy.clusterUpgradeOptions is missing, which {STEPS} needs"
        return
    step, surge = options["stepSizePercent"], options.get("maxSurgePercent", 100)
    if not 0 <= step <= surge <= 100:
        yield (
            "spec.upgradeStrategy.clusterUpgradeOptions: stepSizePercent may be at most maxSurgePercent, and that 100, "
            f"not {step} and {surge}"
        )
    if options["intervalSeconds"] <= 0:
        yield "spec.upgradeStrategy.clusterUpgradeOptions.intervalSeconds must be more than 0"


def _group(group: Resource, cluster: Resource, place: str) -> Iterator[str]:
    bounds = [0, group.get("minReplicas", 0), group.get("maxReplicas", group.get("minReplicas", 0))]
    if any(low > high for low, high in pairwise(bounds)):
        yield f"{place}: minReplicas must be 0 or more and at most maxReplicas, not {bounds[1]} and {bounds[2]}"
    if "idleTimeoutSeconds" in group and not (_scales_v2(cluster) or V2_VARIABLE in _environment(cluster)):
        yield f"{place}.idleTimeoutSeconds needs enableInTreeAutoscaling and autoscalerOptions.version: v2"
    if _scales_v2(cluster) and _restarts(group):
        yield f"{place}.template.spec.restartPolicy must be Never where autoscalerOptions.version is v2"


def _head(cluster: Resource) -> Iterator[str]:
    head, place = cluster["headGroupSpec"], "spec.rayClusterConfig"
    if _scales_v2(cluster) and _restarts(head):
        yield f"{place}.headGroupSpec.template.spec.restartPolicy must be Never where autoscalerOptions.version is v2"
    version = re.match(r"(\d+)\.(\d+)\.\d+", str(cluster.get("rayVersion", "")))
    token = (cluster.get("authOptions") or {}).get("mode") == "token"
    if token and (version is None or (int(version[1]), int(version[2])) < TOKEN_SINCE):
        yield f"{place}.rayVersion must be {'.'.join(map(str, TOKEN_SINCE))}.0 or newer where authOptions.mode is token"
    for name in sorted(OF_REDIS.keys() & _environment(cluster)):
        yield f"{place}.headGroupSpec: {name} belongs into gcsFaultToleranceOptions.{OF_REDIS[name]}, not into env"


def _environment(cluster: Resource) -> set[str]:
    """Names of the variables of Ray's container in the head."""
    containers = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    return {str(variable["name"]) for container in containers[:1] for variable in container.get("env") or ()}


def _scales_v2(cluster: Resource) -> bool:
    version = (cluster.get("autoscalerOptions") or {}).get("version")
    return bool(cluster.get("enableInTreeAutoscaling")) and version == "v2"


def _restarts(group: Resource) -> bool:
    return bool(group["template"]["spec"].get("restartPolicy", "Never") != "Never")
