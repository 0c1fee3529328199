"""Every default of the configuration has its reason beside it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from models.catalog.paths import ROOT

FILES = sorted((ROOT / "deployments" / "config").glob("*.py"))


def defaults() -> Iterator[tuple[str, list[str]]]:
    """Each key that has a default, with its lines and the line above; a schema of its own says its reasons itself."""
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for schema in (
            node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and "Strict" in ast.unparse(node)
        ):
            for key in schema.body:
                if isinstance(key, ast.AnnAssign) and key.value is not None and key.end_lineno is not None:
                    of_its_own = isinstance(key.value, ast.Call) and not key.value.args and not key.value.keywords
                    required = "Field(pattern" in ast.unparse(key.value)
                    if not of_its_own and not required:
                        yield f"{schema.name}.{ast.unparse(key.target)}", lines[key.lineno - 2 : key.end_lineno]


DEFAULTS = list(defaults())


@pytest.mark.parametrize("lines", [lines for _, lines in DEFAULTS], ids=[name for name, _ in DEFAULTS])
def test_a_default_has_its_reason(lines: list[str]) -> None:
    above, *own = lines
    assert above.strip().startswith("#") or any("  # " in line for line in own), "\n".join(lines)
