"""What the init container of the manifests runs: the versions and the profile come from its environment."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from models.catalog.custom import describe_folder
from tests.command_line import embedserve
from tests.data.tiny import write

FIRST, SECOND, OTHER = (f"tiny@1.{number}.0" for number in range(3))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A catalogue of three versions, of which two are to be preloaded."""
    folder = write(tmp_path / "tiny").folder
    specs = [describe_folder(name, folder, precision) for name, precision in ((FIRST, "fp32"), (SECOND, "fp16"))]
    specs.append(specs[0].model_copy(update={"version": "1.2.0", "path": "./models/store/other.onnx"}))
    entries = {
        spec.version: spec.model_dump(mode="json", exclude={"model", "version"}, exclude_none=True) for spec in specs
    }
    (tmp_path / "catalog.yaml").write_text(yaml.safe_dump({"models": {"tiny": entries}}))
    return {
        "EMBEDSERVE_CATALOG": str(tmp_path / "catalog.yaml"),
        "EMBEDSERVE_MODELS": str(tmp_path / "store"),
        "EMBEDSERVE_PRELOAD": f"{FIRST} {SECOND}",
        "EMBEDSERVE_PROFILE": "production",
    }


def pulled(environment: dict[str, str], *arguments: str) -> CompletedProcess[str]:
    return embedserve("models", "pull", *arguments, environment=environment)


def test_the_versions_of_the_environment_are_pulled_and_no_others(environment: dict[str, str], tmp_path: Path) -> None:
    done = pulled(environment)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "store").glob("*.onnx"))) == 2
    assert not (tmp_path / "store" / "other.onnx").exists()


def test_a_profile_that_is_none_is_refused_with_those_that_are(environment: dict[str, str]) -> None:
    refused = pulled({**environment, "EMBEDSERVE_PROFILE": "prod"})
    assert refused.returncode != 0
    assert all(word in refused.stderr for word in ("EMBEDSERVE_PROFILE", "development", "production"))


def test_a_version_that_the_catalogue_lacks_ends_the_container_with_its_name(environment: dict[str, str]) -> None:
    refused = pulled({**environment, "EMBEDSERVE_PRELOAD": f"{FIRST} tiny@9.9.9"})
    assert refused.returncode == 1
    assert "no version '9.9.9' of tiny" in refused.stderr


@pytest.mark.parametrize("listed", ["", " "], ids=["empty", "blank"])
def test_a_list_without_a_version_pulls_none_instead_of_all(
    environment: dict[str, str], tmp_path: Path, listed: str
) -> None:
    done = pulled({**environment, "EMBEDSERVE_PRELOAD": listed})
    assert done.returncode == 0, done.stderr
    assert "names no version: nothing to pull" in done.stderr
    assert not list((tmp_path / "store").glob("*.onnx"))
