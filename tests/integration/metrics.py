"""What a running service says of itself in numbers."""

from __future__ import annotations

import re

import httpx2


def metric(url: str, name: str, label: str) -> dict[str, float]:
    """Values of a metric by one of its labels."""
    text = httpx2.get(f"{url}/metrics", timeout=60, trust_env=False).text
    found = re.findall(rf'^ray_{name}{{.*\b{label}="(\w+)".*}} (\S+)$', text, re.MULTILINE)
    return {value: float(number) for value, number in found}
