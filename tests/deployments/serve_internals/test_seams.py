"""Which seams are on, and that whatever is on can be switched off and counted."""

from __future__ import annotations

import ast
import logging
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from deployments.config.internals import Internals
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.serve_internals import http_hook, lean_serve, log_folder, ray_version, settings
from deployments.serve_internals.local_rays import local_rays
from deployments.serve_internals.names import Seam
from deployments.serve_internals.seams import ALL, SEAMS, VARIABLE, Seams, chosen
from models.catalog.paths import ROOT
from models.errors import ConfigError

PINNED = ray_version.PINNED
DOCUMENT = (ROOT / "docs" / "serve_internals.md").read_text(encoding="utf-8")
ROWS = {row.split("|")[1].strip(" `"): row.split("|")[2:-1] for row in re.findall(r"^\| `\w+` \|.*\|$", DOCUMENT, re.M)}


def on(seams: Seams) -> set[Seam]:
    return {seam for seam in ALL if seams.on(seam)}


def test_the_pinned_version_is_that_of_pyproject_and_the_one_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"ray[serve]=={PINNED}" in project["dependencies"]
    assert ray_version.installed() == PINNED


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ALL),
        ("on", ALL),
        ("off", set()),
        ("single_write, connections", {"single_write", "connections"}),
        ("-haproxy_lines", ALL - {"haproxy_lines"}),
        ("on,-http_hook,-connections", ALL - {"http_hook", "connections"}),
    ],
)
def test_the_variable_chooses(value: str, expected: set[Seam]) -> None:
    assert chosen(value) == expected
    assert on(Seams({VARIABLE: value}, PINNED)) == expected


def test_an_unknown_name_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"EMBEDSERVE_INTERNALS: 'haproxy' is unknown; allowed.*haproxy_lines"):
        chosen("haproxy")


@pytest.mark.parametrize("seam", sorted(Internals.model_fields))
def test_the_configuration_switches_off_and_on_again_but_never_against_the_environment(seam: Seam) -> None:
    seams = Seams({}, PINNED)
    seams.configure(Internals.model_validate({seam: False}))
    assert on(seams) == ALL - {seam}
    seams.configure(Internals())
    assert on(seams) == ALL
    forbidden = Seams({VARIABLE: "off"}, PINNED)
    forbidden.configure(Internals())
    assert on(forbidden) == set()


@pytest.mark.parametrize("installed", ["2.60.1", "2.61.0", "3.0.0", "2.59.0"])
def test_another_ray_switches_everything_off_and_says_so_once(installed: str, caplog: pytest.LogCaptureFixture) -> None:
    seams = Seams({VARIABLE: "on"}, installed)
    with caplog.at_level(logging.WARNING, "ray.serve.embedserve"):
        assert on(seams) == set()
    assert [record.getMessage() for record in caplog.records] == [
        f"Ray {installed} is installed, and what we use of Ray beside its public API was tested with {PINNED} alone: "
        "all of it stays off, and requests go through public Serve, slower"
    ]


class Told:
    """A metric that remembers what it was told."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = {}

    def set(self, value: float, tags: dict[str, str]) -> None:
        self.values[tuple(tags.values())] = value


def reported(seams: Seams, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, float], dict[tuple[str, ...], float]]:
    metrics = GatewayMetrics()
    in_use, tested = Told(), Told()
    monkeypatch.setattr(metrics, "seam_in_use", in_use)
    monkeypatch.setattr(metrics, "ray_tested", tested)
    seams.report(metrics)
    return {name: value for (name,), value in in_use.values.items()}, tested.values


NODE = settings.SWITCHES | lean_serve.variables({})  # what a node is started with


def test_the_metrics_say_of_every_seam_whether_it_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = Seams(NODE, PINNED)
    everything.start("http_hook")
    everything.start("slow_heads")
    everything.start("log_folder")
    in_use, tested = reported(everything, monkeypatch)
    assert in_use == dict.fromkeys(ALL, 1.0)
    assert tested == {(PINNED, PINNED): 1.0}
    in_use, tested = reported(Seams({}, "2.61.0"), monkeypatch)
    assert in_use == dict.fromkeys(ALL, 0.0)
    assert tested == {("2.61.0", PINNED): 0.0}


def test_what_a_node_was_started_with_shows_although_it_should_be_off(monkeypatch: pytest.MonkeyPatch) -> None:
    in_use, _ = reported(Seams(NODE, "2.61.0"), monkeypatch)
    assert {seam for seam, value in in_use.items() if value} == {
        "http_hook",
        "haproxy_lines",
        "haproxy_process",
        "haproxy_rules",
        "lean_serve",
        "node_variables",
    }


def test_uses_are_handed_over_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seams = Seams({}, PINNED)
    seams.uses["single_write"] += 3
    metrics = GatewayMetrics()
    seams.report(metrics)
    seams.report(metrics)
    assert metrics.seam_uses._pending[("single_write",)] == 3


def test_nodes_are_started_with_the_variables_of_the_seams_that_are_on_alone() -> None:
    assert settings.node_variables(Seams({VARIABLE: "off"}, PINNED).on) == settings.ALWAYS
    for seam, variables in settings.VARIABLES.items():
        without = settings.node_variables(Seams({VARIABLE: f"-{seam}"}, PINNED).on)
        assert settings.SWITCHES.items() - without.items() == variables.items()


def test_seams_that_are_off_touch_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SEAMS, "allowed", frozenset())
    assert http_hook.middlewares() == []
    assert local_rays() is None
    own_logs = log_folder.log_folder()
    assert own_logs.name == f"embedserve-logs-{os.geteuid()}"
    assert stat.S_IMODE(own_logs.stat().st_mode) == 0o700


@pytest.mark.parametrize("path", (ROOT / "deployments" / "serve_internals").glob("*.py"), ids=lambda path: path.stem)
def test_private_modules_are_imported_by_seams_that_are_on_alone(path: Path) -> None:
    """A new Ray may lack them: a gateway whose seams are off must start all the same."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    modules = [node.module or "" for node in body if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in body if isinstance(node, ast.Import) for alias in node.names]
    assert not [name for name in modules if "._" in name or name.startswith(("uvicorn", "ray.dashboard"))]


@pytest.mark.parametrize("seam", get_args(Seam))
def test_every_seam_has_its_row_in_the_documentation(seam: Seam) -> None:
    what, gains, switch, counter, instead = (cell.strip() for cell in ROWS[seam])
    assert what
    assert gains
    assert instead
    assert "EMBEDSERVE_INTERNALS" in switch
    assert (f"internals.{seam}" in switch) == (seam in Internals.model_fields)
    assert "embedserve_seam_in_use" in counter


def test_the_documentation_has_no_row_of_a_seam_that_is_gone() -> None:
    assert ROWS.keys() == ALL
