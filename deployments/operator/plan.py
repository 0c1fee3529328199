"""A change in steps, none of which leaves a route without its application; and the diff that shows the change."""

from __future__ import annotations

import copy
import difflib
from dataclasses import dataclass, field

import yaml
from rich.text import Text

from deployments.operator.document import Document, gateway, gateway_name

BOOKKEEPING = ("revision", "previous")  # the commands' own notes in the gateway's user_config
STYLES = {"+": "green", "-": "red", "~": "yellow", "@": "cyan"}


@dataclass(frozen=True)
class Step:
    """One document to deploy, and what operators read while it is waited for."""

    title: str
    document: Document
    drain: bool = False  # then give requests time to finish that use what the next step drops


@dataclass(frozen=True)
class Plan:
    """The way from one document to another."""

    current: Document
    target: Document
    steps: list[Step] = field(default_factory=list)


def plan(current: Document, target: Document) -> Plan:
    """Order a change: the gateway routes to applications once they serve, and they go once it no longer does."""
    wanted = {app["name"]: app for app in target["applications"]}
    front = gateway_name(current)
    grown = copy.deepcopy(current)
    grown["applications"] = [
        app if app["name"] == front else copy.deepcopy(wanted.get(app["name"], app)) for app in grown["applications"]
    ]
    have = {app["name"] for app in grown["applications"]}
    grown["applications"] += [copy.deepcopy(app) for name, app in wanted.items() if name not in have]
    routed = copy.deepcopy(grown)
    routed["applications"] = [wanted[front] if app["name"] == front else app for app in routed["applications"]]
    steps: list[Step] = []
    candidates = [
        Step("load the artifacts beside what serves", grown),
        Step("route to them", routed, drain=len(routed["applications"]) > len(target["applications"])),
        Step("drop what nothing is routed to", target),
    ]
    last = visible(current)
    for step in candidates:
        if visible(step.document) != last:
            steps.append(step)
            last = visible(step.document)
    return Plan(current, target, steps)


def visible(document: Document) -> Document:
    """The document without the commands' notes, applications in order of their names."""
    shown = copy.deepcopy(document)
    for key in BOOKKEEPING:
        gateway(shown).pop(key, None)
    shown["applications"].sort(key=lambda app: str(app["name"]))
    return shown


def diff(before: Document, after: Document) -> list[str]:
    """What changes, as the lines of a unified diff of the YAML."""
    old, new = (_yaml(document).splitlines() for document in (before, after))
    return list(difflib.unified_diff(old, new, "running", "planned", lineterm="", n=4))


def coloured(lines: list[str]) -> Text:
    """A diff or a summary for a terminal."""
    text = Text()
    for line in lines:
        text.append(line + "\n", style=STYLES.get(line[:1], "dim"))
    return text


def _yaml(document: Document) -> str:
    return str(yaml.safe_dump(visible(document), sort_keys=True, default_flow_style=None, width=120))
