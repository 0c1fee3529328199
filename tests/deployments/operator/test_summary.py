"""What a change is in a few lines: each tells for whom something becomes different, and none is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deployments.operator.document import encoder, gateway, user_config
from deployments.operator.operations import add, promote, remove, route, swap
from deployments.operator.plan import diff
from deployments.operator.summary import summary
from tests.deployments.operator.documents import TEXT, one_version, two_versions

Document = dict[str, Any]
V0, V1 = f"{TEXT}@1.0.0", f"{TEXT}@1.1.0"


def changed(change: Callable[[Document], object]) -> Document:
    document = two_versions()
    change(document)
    return document


def scaled(document: Document) -> None:
    encoder(document, TEXT, "1.1.0")["deployments"][0]["autoscaling_config"]["max_replicas"] = 9


def pinned(document: Document) -> None:
    user_config(encoder(document, TEXT, "1.1.0"))["hash"] = "0" * 64


CASES = {
    "weights": (route(two_versions(), TEXT, {"1.0.0": 90, "1.1.0": 10}, {}), [f"~ requests for {TEXT}: 1.0.0 100 % → 90 %, 1.1.0 0 % → 10 %"]),
    "weights that sum to more": (route(two_versions(), TEXT, {"1.0.0": 1, "1.1.0": 2}, {}), [f"~ requests for {TEXT}: 1.0.0 100 % → 33.3 %, 1.1.0 0 % → 66.7 %"]),
    "copies": (route(two_versions(), TEXT, {}, {"1.1.0": 5}), [f"~ copies of requests for {TEXT}: 1.1.0 none → 5 %"]),
    "all traffic": (promote(two_versions(), V1), [f"~ requests for {TEXT}: 1.0.0 100 % → 0 %, 1.1.0 0 % → 100 %"]),
    "another artifact": (swap(two_versions(), V1, V0), [f"~ {V1}: {V1} → {V0}, beside each other until the new one is proved"]),
    "gone": (remove(two_versions(), V1, drain=False), [f"- {V1}: unloaded", f"~ requests for {TEXT}: 1.0.0 100 %, 1.1.0 0 % → none"]),
    "replicas": (changed(scaled), [f"~ {V1}: 1 to 8 replicas → 1 to 9 replicas"]),
    "a name": (changed(lambda document: gateway(document)["aliases"].update(mine=V1)), [f"~ the name mine: unknown → {V1}"]),
    "a hash": (changed(pinned), ["~ other settings: --verbose shows them"]),
    "a setting": (changed(lambda document: gateway(document).update(log_level="DEBUG")), ["~ other settings: --verbose shows them"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_change_is_told_in_words(case: str) -> None:
    after, lines = CASES[case]
    assert summary(two_versions(), after) == lines


def test_a_new_version_is_told_with_what_it_loads_and_how_often() -> None:
    assert summary(one_version(), add(one_version(), V1)) == [
        f"+ {V1}: loaded from {V1}, 1 to 8 replicas",
        f"~ requests for {TEXT}: 1.0.0 100 %, 1.1.0 none → 0 %",
    ]


@pytest.mark.parametrize("case", CASES)
def test_what_the_diff_shows_is_never_left_out(case: str) -> None:
    after, _ = CASES[case]
    assert bool(diff(two_versions(), after)) is bool(summary(two_versions(), after))


def test_every_single_setting_makes_a_line() -> None:
    def leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        return [leaf for key, value in pairs for leaf in leaves(value, (*path, key))] or [path]

    names = {"name", "import_path", "model"}  # what tells applications apart
    for path in leaves(two_versions()):
        after = two_versions()
        *above, last = path
        node: Any = after
        for key in above:
            node = node[key]
        if last in names or (isinstance(node, list) and not isinstance(last, int)):
            continue
        node[last] = 7 if node[last] != 7 else 8
        if diff(two_versions(), after):
            assert summary(two_versions(), after), path


def test_nothing_is_no_line() -> None:
    assert summary(two_versions(), two_versions()) == []
