"""Every key that a configuration may have is read by the code that runs with it."""

from __future__ import annotations

import importlib
import pkgutil
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from typing_extensions import get_protocol_members

import deployments
import models
from deployments.config.base import Strict
from deployments.config.internals import Internals
from deployments.serve_internals.seams import ALL as SEAMS
from models.catalog.paths import ROOT
from tests.deployments.config.reads import Reads

# Rooms that check and change configurations; reading a key there makes nothing of it.
ONLY_CHECK = ("deployments.config", "deployments.cluster", "deployments.operator", "deployments.cli")
# Keys of the document that operators' commands change: they read it as it stands in the file, without its schema.
IN_THE_DOCUMENT = {
    ("GatewayConfig", "revision"): "deployments/operator",
    ("GatewayConfig", "previous"): "deployments/operator",
    ("EncoderConfig", "precision"): "deployments/cluster",
}


def modules() -> Iterator[types.ModuleType]:
    for package in (deployments, models):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            try:
                yield importlib.import_module(found.name)
            except ImportError as error:
                if "have moved" not in str(error):  # modules of the version before say where things are now
                    raise


MODULES = list(modules())
READS = Reads(module for module in MODULES if not module.__name__.startswith(ONLY_CHECK))


def schemas() -> list[type[Strict]]:
    """Those of the configuration, and of ``policy_kwargs``."""
    found = {
        item
        for module in MODULES
        if module.__name__.startswith(("deployments.config.", "deployments.autoscaling."))
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Strict) and item is not Strict
    }
    return sorted(found, key=lambda schema: schema.__name__)


def protocols_of(schema: type[Strict]) -> list[type]:
    """The protocols that the code reads and that the schema fulfils: modalities know limits by those."""
    protocols = {
        it
        for it, _ in READS.found
        if it.__module__.startswith("models.modalities.") and getattr(it, "_is_protocol", False)
    }
    return [protocol for protocol in protocols if get_protocol_members(protocol) <= set(schema.model_fields)]


KEYS = [(schema, key) for schema in schemas() for key in schema.model_fields]


@pytest.mark.parametrize(("schema", "key"), KEYS, ids=[f"{schema.__name__}.{key}" for schema, key in KEYS])
def test_a_key_is_read(schema: type[Strict], key: str) -> None:
    if schema is Internals:  # read by the names of the seams
        assert key in SEAMS
        return
    folder = IN_THE_DOCUMENT.get((schema.__name__, key))
    if folder is not None:
        assert any(f'"{key}"' in path.read_text(encoding="utf-8") for path in (ROOT / folder).glob("*.py"))
        return
    readers = {place for base in (*schema.__mro__, *protocols_of(schema)) for place in READS.found.get((base, key), ())}
    assert readers, (
        f"nobody reads {schema.__name__}.{key}: read it as an attribute of a value whose annotation says "
        f"{schema.__name__}, or refuse it with a message that says what to use instead"
    )


SAMPLE = """
from __future__ import annotations
from deployments.config.base import Strict, parse


class Inner(Strict):
    read: int = 1
    ignored: int = 2
    written: int = 3


class Outer(Strict):
    inner: Inner = Inner()
    many: dict[str, Inner] = {}


class Other:
    ignored: int = 4


class Reader:
    def __init__(self, document: object) -> None:
        self.config = parse(Outer, document, "here")

    @property
    def inner(self) -> Inner | None:
        return self.config.inner

    def work(self, other: Other) -> int:
        other.ignored += 1
        if (inner := self.inner) is not None:
            return inner.read
        return sum(one.read for name, one in sorted(self.config.many.items()))
"""


def test_a_key_that_nobody_reads_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sample_of_reads.py").write_text(SAMPLE)
    monkeypatch.syspath_prepend(tmp_path)
    sample = importlib.import_module("sample_of_reads")
    found = {(schema.__name__, key): len(places) for (schema, key), places in Reads([sample]).found.items()}
    assert found == {("Outer", "inner"): 1, ("Outer", "many"): 1, ("Inner", "read"): 2}
