"""The limits in docs/operations.md are those of the configuration."""

from __future__ import annotations

import re

from deployments.config.limits import Limits
from models.catalog.paths import ROOT


def test_every_limit_stands_in_the_documentation() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = text.partition("\n## Limits\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(Limits.model_fields)
