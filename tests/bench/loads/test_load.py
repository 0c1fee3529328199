from __future__ import annotations

import pytest

from bench.loads.load import ALONE, HITS, MANY, ONE, chosen, full_plan, quick_plan


@pytest.mark.parametrize("plan", [quick_plan(), full_plan()], ids=["quick", "full"])
def test_a_plan_has_every_load_with_a_bar_once(plan) -> None:
    names = [load.name for load in plan.loads]
    assert len(set(names)) == len(names)
    assert {load.name for load in (ALONE, ONE, MANY, HITS)} | {"image-raw c8"} <= set(names)


def test_loads_are_chosen_by_name_and_unknown_names_get_the_list() -> None:
    assert chosen([ONE, MANY, ALONE], "text 1x13 c1, text 16×13 c32") == (ALONE, MANY)
    with pytest.raises(ValueError, match=r"no load is called text 2×13; there are: text 1×13 c32, text 1×13 c1$"):
        chosen([ONE, ALONE], "text 2x13")


def test_a_plan_keeps_the_loads_that_were_named_and_the_open_loop_only_by_name() -> None:
    plan = quick_plan()
    assert [load.name for load in plan.only("image-raw c8").loads] == ["image-raw c8"]
    assert not plan.only("text 1x13 c32").overload
    assert plan.only("text 1x13 c32,overload").overload
    with pytest.raises(ValueError, match="overload begins with the rate of text 1×13 c32"):
        plan.only("overload")
    with pytest.raises(ValueError, match=r"no load is called text; there are: .*, overload"):
        plan.only("text")
