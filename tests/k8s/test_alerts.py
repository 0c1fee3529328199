"""Alerts fire when they should and stay silent when they should."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from urllib.parse import urlsplit

import pytest
import yaml

from tests.k8s.tools import ROOT, built, require

RULES = {"groups": [g for r in built("monitoring") if r["kind"] == "PrometheusRule" for g in r["spec"]["groups"]]}
CASES = sorted((ROOT / "tests" / "k8s").glob("alerts*.yaml"))
ALERTS = [rule["alert"] for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]


def cases_of(alert):
    """Files of series that speak of an alert."""
    return [file for file in CASES if f"alertname: {alert}" in file.read_text(encoding="utf-8")]


def promtool(folder, *arguments):
    command = [require("promtool", "Debian package prometheus"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def run_cases(folder, rules, files):
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    for cases in files:
        shutil.copy(cases, folder)
    return promtool(folder, "test", "rules", *(cases.name for cases in files))


def test_prometheus_accepts_the_rules(tmp_path):
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES), encoding="utf-8")
    checked = promtool(tmp_path, "check", "rules", "rules.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_fires_and_stays_silent_on_the_series_that_say_so(tmp_path):
    tested = run_cases(tmp_path, RULES, CASES)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_the_series_notice_that_an_alert_can_no_longer_fire(alert, tmp_path):
    rules = yaml.safe_load(yaml.safe_dump(RULES))
    for group in rules["groups"]:
        group["rules"] = [rule for rule in group["rules"] if rule.get("alert", alert) == alert]  # and what is recorded
        for rule in (rule for rule in group["rules"] if "alert" in rule):
            rule["expr"] = f"({rule['expr']}) and on() vector(1) == 2"
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    files = [about(alert, file, tmp_path) for file in cases_of(alert)]
    tested = promtool(tmp_path, "test", "rules", *(file.name for file in files))
    assert tested.returncode != 0
    assert alert in tested.stdout + tested.stderr


def about(alert, file, folder):
    """A copy of a file of series with what it says of one alert: all of them take promtool ten times as long."""
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    for case in document["tests"]:
        case["alert_rule_test"] = [step for step in case["alert_rule_test"] if step["alertname"] == alert]
    document["tests"] = [case for case in document["tests"] if case["alert_rule_test"]]
    copy = folder / file.name
    copy.write_text(yaml.safe_dump(document), encoding="utf-8")
    return copy


@pytest.mark.parametrize("alert", ALERTS)
def test_there_are_series_for_both_sides_of(alert):
    expected = defaultdict(set)
    cases = [case for file in CASES for case in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]]
    for step in (step for case in cases for step in case["alert_rule_test"]):
        expected[step["alertname"]].add(bool(step["exp_alerts"]))
    assert expected[alert] == {True, False}


@pytest.mark.parametrize("alert", ALERTS)
def test_operations_md_has_the_runbook_that_the_alert_links(alert):
    rule = next(rule for group in RULES["groups"] for rule in group["rules"] if rule.get("alert") == alert)
    page, anchor = rule["annotations"]["runbook_url"].split("#")
    assert urlsplit(page).scheme == "https", "a link that a phone opens at night"
    file = ROOT / "docs" / page.partition("/docs/")[2]
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor == alert.lower()
    assert alert in headings
