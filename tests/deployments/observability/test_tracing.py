from __future__ import annotations

import subprocess
import sys

import pytest

from deployments.observability.tracing import wanted

URL = "http://127.0.0.1:4318"


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": URL}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": URL}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": URL}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": URL, "OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
    ids=[
        *("nothing set", "an empty endpoint", "an endpoint", "an endpoint for traces", "an endpoint for metrics"),
        "switched off by the standard variable",
    ],
)
def test_spans_are_made_only_for_somebody(environment: dict[str, str], on: bool) -> None:
    assert wanted(environment) == on


def run(code: str, monkeypatch: pytest.MonkeyPatch, **environment: str) -> subprocess.CompletedProcess[str]:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_without_an_endpoint_nothing_of_it_is_even_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys\nfrom deployments.observability import tracing\n"
        "tracing.start('x'); tracing.stage('a', None, 0, 1); tracing.end(tracing.call('m@1'))\n"
        "assert not tracing.on() and tracing.carried(None) == () and tracing.encode((), 'm@1') is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    assert run(code, monkeypatch).stdout.strip() == "[]"


def test_a_missing_exporter_is_said_and_the_service_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import logging, sys\nsys.modules['opentelemetry.exporter.otlp.proto.http.trace_exporter'] = None\n"
        "logging.basicConfig(stream=sys.stdout)\nfrom deployments.observability import tracing\n"
        "tracing.start('x'); print(tracing.on())"
    )
    said = run(code, monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=URL).stdout
    assert "install embedserve[otel]" in said
    assert said.endswith("False\n")
