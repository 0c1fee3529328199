"""What `embedserve up` refuses before it starts anything."""

from __future__ import annotations

from typer.testing import CliRunner

from deployments.cli.main import app
from deployments.config.old_import_paths import CALLBACK_VARIABLE
from models.errors import ConfigError


def test_an_environment_of_an_earlier_version_is_refused_before_models_are_fetched() -> None:
    environment = {CALLBACK_VARIABLE: "deployments.http.envelope:middlewares", "EMBEDSERVE_MODELS": "/proc/nowhere"}
    result = CliRunner().invoke(app, ["up", "--port", "1", "--beside"], env=environment)
    assert isinstance(result.exception, ConfigError)
    assert f"set {CALLBACK_VARIABLE}=deployments.serve_internals." in str(result.exception)
