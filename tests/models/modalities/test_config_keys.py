"""Every key that a catalogue entry's ``config`` may have is read by somebody."""

from __future__ import annotations

import ast
import re

import pytest

from models.catalog.paths import ROOT
from models.modalities import MODALITIES

# They are part of what content hashes are made of, which must not change.
UNREAD = {("text", "similarity"), ("image", "patch_size"), ("image", "num_channels")}
KEYS = sorted({(name, key) for name, modality in MODALITIES.items() for key in modality.config.model_fields})


@pytest.fixture(scope="module")
def reads() -> set[str]:
    """Names of attributes that are read anywhere in ``models/``, and of keys that are got of an entry's ``config``."""
    paths = (ROOT / "models").rglob("*.py")
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}
    calls = [ast.unparse(node) for node in nodes if isinstance(node, ast.Call)]
    got = [re.match(r"(?:\w+\.)*(?:config|settings)\.get\('(\w+)'", call) for call in calls]
    return attributes | {found[1] for found in got if found}


@pytest.mark.parametrize(("modality", "key"), KEYS)
def test_a_key_of_a_catalogue_entry_is_read(reads: set[str], modality: str, key: str) -> None:
    assert (key in reads) != ((modality, key) in UNREAD)
