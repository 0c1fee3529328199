from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench.ab.__main__ import main
from bench.ab.points import OTHER, THIS, Point, summary
from bench.ab.turns import served
from deployments.cluster.serve_file_check import check
from models.catalog.paths import ROOT

LOAD = "int8, text 1×13 c32"


def point(side: str, rate: float, cpu_ms: float = 1.0, others: float = 0.0) -> Point:
    return Point(LOAD, side, rate, 5.0, cpu_ms, 0, others)


def test_a_checkout_serves_the_chosen_precisions_with_its_own_import_paths() -> None:
    document = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    document["applications"][1]["import_path"] = "elsewhere.apps:text_encoder"
    gateway, *encoders = served(document, ["int8", "fp32"])["applications"]
    assert [app["args"]["model"] for app in encoders] == ["text-embedding@1.1.0", "text-embedding@1.0.0"]
    assert {app["import_path"] for app in encoders} == {"elsewhere.apps:text_encoder"}
    told = [app["deployments"][0]["user_config"] for app in encoders]
    assert [config["artifact"] for config in told] == ["text-embedding@1.1.0", "text-embedding@1.0.0"]
    assert not any("precision" in config for config in told), "where bf16 is faster, it would be measured as fp32"
    versions = gateway["deployments"][0]["user_config"]["models"]["text-embedding"]["versions"]
    assert versions == {"1.1.0": 100, "1.0.0": 0}


@pytest.mark.parametrize("modalities", [["text"], ["image"], ["text", "image"]])
@pytest.mark.parametrize("precisions", [["int8", "fp32"], ["int8"], ["fp32"]])
def test_what_a_checkout_serves_is_a_configuration_that_it_accepts(
    precisions: list[str], modalities: list[str]
) -> None:
    document = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    check(served(document, precisions, modalities), "ab")


def test_the_ratio_is_of_medians_and_the_spread_of_rounds() -> None:
    points = [point(THIS, rate, cpu) for rate, cpu in ((110, 2.0), (300, 2.0), (100, 2.0))]
    points += [point(OTHER, rate) for rate in (100, 100, 50)]
    cells = [cell.strip() for cell in summary(points).splitlines()[-1].strip("|").split("|")]
    assert cells[0] == LOAD
    assert cells[3:5] == ["1.100", "1.100 to 3.000"]
    assert cells[7:9] == ["2.000", "2.000 to 2.000"]


def test_a_folder_without_an_environment_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "has no .venv/bin/embedserve" in capsys.readouterr().err
