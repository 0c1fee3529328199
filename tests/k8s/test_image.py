"""The Dockerfile keeps the rules that linters know, and its install steps work from a clean folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from tests.k8s.tools import ROOT

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
    """What breaks a rule; the numbers are hadolint's."""
    found = []
    instructions = parse(text)
    bases = dict(rest.split("=", 1) for word, rest in instructions if word == "ARG" and "=" in rest)
    stages: set[str] = set()
    user, shell = "root", False
    for word, rest in instructions:
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            image = re.sub(r"\$\{(\w+)\}", lambda m: bases.get(m.group(1), ""), image)
            if image not in stages and (":" not in image or image.endswith(":latest")):
                found.append(f"DL3006 {image} has no tag")
            shell = shell if image in stages else False
            user = user if image in stages else "root"
            stages.add(name)
        elif word == "SHELL":
            shell = "pipefail" in rest
        elif word == "USER":
            user = rest
        elif word == "COPY" and (source := re.match(r"--from=(\S+)", rest)) and source.group(1) not in stages:
            found.append(f"DL3022 {source.group(1)} is no earlier stage")
        elif word == "WORKDIR" and not rest.startswith("/"):
            found.append(f"DL3000 {rest} is relative")
        elif word in ("CMD", "ENTRYPOINT") and not rest.startswith("["):
            found.append(f"DL3025 {word} is not in exec form")
        elif word == "ADD":
            found.append("DL3020 ADD where COPY does")
        elif word == "RUN":
            found += run_problems(rest, shell)
    if user.split(":")[0] in ("root", "0") or not user[0].isdigit():
        found.append(f"DL3002 the last user is {user}")
    return found


def run_problems(command: str, shell: bool) -> list[str]:
    """What breaks a rule in a shell line."""
    rules = {
        "DL3004 sudo": r"\bsudo\b",
        "DL3015 installs recommended packages": r"apt-get install(?!.*--no-install-recommends)",
        "DL3014 apt-get install asks": r"apt-get install(?!.*(--yes|-y)\b)",
        "DL3009 leaves the package lists": r"apt-get update(?!.*rm -rf /var/lib/apt/lists)",
        "DL3042 keeps pip's cache": r"pip install(?!.*--no-cache-dir)",
        "DL3003 cd": r"(^|&& )cd ",
    }
    found = [rule for rule, pattern in rules.items() if re.search(pattern, command)]
    if not shell and re.search(r"[^|]\|[^|]", command):
        found.append("DL4006 a pipe without pipefail")
    return found


def test_the_dockerfile_breaks_no_rule():
    assert problems(TEXT) == []


BROKEN = {
    "a base without a tag": ("DL3006", TEXT.replace("python:3.11.14-slim-bookworm", "python")),
    "the latest base": ("DL3006", TEXT.replace("3.11.14-slim-bookworm", "latest")),
    "root as the last user": ("DL3002", TEXT.replace("USER 1000:1000", "USER root")),
    "recommended packages": ("DL3015", TEXT.replace("--no-install-recommends ", "")),
    "package lists left behind": ("DL3009", TEXT.replace("rm -rf /var/lib/apt/lists/*", "true")),
    "a stage that does not exist": ("DL3022", TEXT.replace("--from=install-cpu", "--from=install")),
    "a command in shell form": ("DL3025", TEXT.replace('CMD ["embedserve", "--help"]', "CMD embedserve --help")),
    "a pipe without pipefail": ("DL4006", TEXT.replace("RUN scripts/k8s_install.sh cpu", "RUN true | scripts/x cpu")),
}


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
    assert "deployments/http/envelope.py" in listing.stdout


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
