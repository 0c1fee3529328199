"""``embedserve experiment report`` and the lines of ``status``, on what a service exports."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deployments.cli.main import app
from deployments.cli.status_table import neighbour_lines
from deployments.operator.traffic_stats import parse
from models.errors import EmbedserveError
from tests.servers.serve_rest import ServeRest, serve_rest

SPLIT = "m/5f31f808"


def exposition(second: float = 1000, slow: float = 0.2) -> str:
    """Nine thousand requests of version 1 and some of version 2, of which ``slow`` take up to 20 ms and the rest 10."""
    lines = []
    for version, count, late in (("1", 9000.0, 0.2), ("2", second, slow)):
        labels = f'model="m",version="{version}"'
        lines.append(f'ray_embedserve_requests_total{{{labels},code="200"}} {count}')
        for bound, part in ((0.01, 1 - late), (0.02, 1.0), (math.inf, 1.0)):
            le = "+Inf" if math.isinf(bound) else bound
            lines.append(
                f'ray_embedserve_request_duration_seconds_bucket{{{labels},cache="miss",le="{le}"}} {count * part}'
            )
        lines.append(
            f'ray_embedserve_experiment_share{{{labels},experiment="{SPLIT}"}} {0.9 if version == "1" else 0.1}'
        )
        for keyed, times in (("no", 1), ("yes", 40)):
            chosen = f'experiment="{SPLIT}",chosen="weight",keyed="{keyed}"'
            lines.append(f"ray_embedserve_assignments_total{{{labels},{chosen}}} {count * times}")
    pair = 'model="m",version="2",other="1"'
    lines += [f'ray_embedserve_neighbour_inputs{{{pair},same="{same}"}} {20 if same > 4 else 0}' for same in range(11)]
    for bound, overlap, ranks in (("mean", 0.75, 0.8), ("low", 0.72, 0.78), ("high", 0.78, 0.82)):
        lines.append(f'ray_embedserve_neighbour_overlap{{{pair},bound="{bound}"}} {overlap}')
        lines.append(f'ray_embedserve_rank_correlation{{{pair},bound="{bound}"}} {ranks}')
    shadow = 'model="m",version="1",shadow="2"'
    for le, part in (("0.9", 5), ("0.99", 80), ("+Inf", 100)):
        lines.append(f'ray_embedserve_shadow_cosine_bucket{{{shadow},le="{le}"}} {part}')
    lines.append(f"ray_embedserve_shadow_cosine_sum{{{shadow}}} 97")
    return "\n".join(lines) + "\n"


@pytest.fixture
def serve() -> Iterator[ServeRest]:
    with serve_rest() as running:
        running.metrics = exposition
        yield running


def report(serve: ServeRest, *words: str) -> Result:
    return CliRunner().invoke(app, ["experiment", "report", "m", "--url", serve.url, *words])


def test_a_report_compares_versions_and_draws_them(serve: ServeRest, tmp_path: Path) -> None:
    result = report(serve, "--plot", str(tmp_path / "report.png"))
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "2 1000 0 (0 to 0.383) same" in said
    assert "2 and 1 0.9700 120 7.5 (7.2 to 7.8) 0.8 (0.78 to 0.82)" in said
    assert f"split {SPLIT}, requests without a key: as the weights say" in said
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def test_a_slower_version_and_a_split_that_lost_requests_are_named(serve: ServeRest) -> None:
    serve.metrics = lambda: exposition(second=800, slow=0.9)
    said = " ".join(report(serve).output.split())
    assert "higher" in said
    assert "MISMATCH, do not compare the versions" in said


def test_keys_of_an_exposure_log_are_checked_too(serve: ServeRest, tmp_path: Path) -> None:
    rows = [("1", f"a{i}") for i in range(900)] + [("2", f"b{i}") for i in range(100)] + [("2", "a1")]
    entries = [{"experiment": SPLIT, "chosen": "weight", "key_hash": key, "version": version} for version, key in rows]
    (tmp_path / "access.log").write_text("\n".join(map(json.dumps, entries)))
    said = " ".join(report(serve, "--log", str(tmp_path / "access.log")).output.split())
    assert f"split {SPLIT}, keys: as the weights say" in said
    assert "1 keys saw more than one version" in said


def test_between_two_looks_without_traffic_there_is_nothing_to_compare(serve: ServeRest) -> None:
    said = " ".join(report(serve, "--over", "0.1s").output.split())
    assert "2 0 – – –" in said


@pytest.mark.parametrize(
    ("metrics", "words", "told"),
    [(exposition, ["--over", "soon"], "must be a number of seconds"), (str, [], "exports no metrics")],
    ids=["no duration", "no metrics"],
)
def test_a_wrong_call_says_what_is_wrong(serve: ServeRest, metrics, words: list[str], told: str) -> None:
    serve.metrics = metrics
    with pytest.raises(EmbedserveError, match=told):
        raise report(serve, *words).exception


def test_status_tells_how_many_neighbours_two_versions_share() -> None:
    (line,) = neighbour_lines(parse(exposition()))
    assert line == "m@2 and 1: 75% of the ten nearest are the same (72% to 78%), ranks correlate by 0.80; 120 inputs"
