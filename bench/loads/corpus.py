"""Real English texts: the documentation of installed packages."""

from __future__ import annotations

import ast
import re
import sysconfig
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from random import Random

SITE = Path(sysconfig.get_paths()["purelib"])
LENGTHS = range(20, 1500)  # characters; what is shorter is mostly headings, what is longer mostly tables


@cache
def texts(count: int, seed: int = 7) -> list[str]:
    """Paragraphs of packages' metadata, documentation and docstrings, shuffled, without repetition."""
    found = _of_files([*SITE.glob("*.dist-info/METADATA"), *SITE.glob("*/**/*.rst"), *SITE.glob("*/**/*.md")])
    for path in sorted(SITE.glob("*/*.py"))[:1500]:
        found.update(_docstrings(path))
    return _shuffled(found, seed)[:count]


@cache
def readme_texts(count: int, seed: int = 7) -> list[str]:
    """The same of packages' metadata alone, which holds their READMEs and takes no ten seconds to read."""
    return _shuffled(_of_files(SITE.glob("*.dist-info/METADATA")), seed)[:count]


def _shuffled(found: set[str], seed: int) -> list[str]:
    ordered = sorted(found)
    Random(seed).shuffle(ordered)
    return ordered


def _of_files(paths: Iterable[Path]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        found.update(_paragraphs(path.read_text(encoding="utf-8", errors="ignore")))
    return found


def _docstrings(path: Path) -> set[str]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return set()
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Module)]
    return {paragraph for node in nodes for paragraph in _paragraphs(ast.get_docstring(node) or "")}


def _paragraphs(document: str) -> set[str]:
    joined = (" ".join(part.split()) for part in re.split(r"\n\s*\n", document))
    return {part for part in joined if len(part) in LENGTHS}
