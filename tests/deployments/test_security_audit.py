"""Looks through all code for what must not be there: each finding is closed, or stands in a list here with its reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.auth.api_keys import new_key
from deployments.auth.authenticator import Held
from models.catalog.paths import ROOT
from models.redaction import SECRET_NAME

FILES = sorted([*(ROOT / "deployments").rglob("*.py"), *(ROOT / "models").rglob("*.py")])
TREES = {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

# Files that are written without `models.files`, which keeps links, owners and permissions and never shows half of one.
WRITES = {
    "models/files.py": "itself",
    "models/catalog/entries.py": "the trial that `replacing` gave it",
    "models/reference/compare.py": "in a temporary folder of its own",
    "models/reference/folder.py": "the same",
    "models/catalog/download.py": "a part of a download, which is renamed when it is whole",
    "models/catalog/sources.py": "what `replacing` gave it",
    "models/graph/calibration.py": "a developer's tool, in the project's own folder",
    "deployments/encoder/slot_writer.py": "memory that an encoder shares with its decoders",
    "deployments/cluster/run_folder.py": "in the private folder of a run",
    "deployments/serve_internals/haproxy_process.py": "in the private folder of a run",
    "deployments/cli/embed.py": "--output, a file of the caller's choice",
    "deployments/cli/models/align.py": "--report, the same",
}
# Handlers of every exception in what decides who is let in; what is caught there must end in a refusal.
CATCHES = {
    "deployments/rpc/server.py": "a failed call of a gateway that is known",
}
GUARDS = ("deployments/auth/", "deployments/http/middleware/auth.py", "deployments/rpc/", "deployments/cli/keys/")


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def writes(call: ast.Call) -> bool:
    """Whether a call opens a file to write it."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in ("write_text", "write_bytes"):
        return True
    if any(isinstance(part, ast.Attribute) and part.attr in ("O_WRONLY", "O_RDWR") for part in ast.walk(call)):
        return True
    modes = [arg.value for arg in ast.walk(call) if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    return name in ("open", "fdopen") and any(re.fullmatch(r"[rbt]*[wax+][bt+]*", mode) for mode in modes)


def test_files_are_written_in_the_one_place_that_keeps_links_owners_and_permissions() -> None:
    found = {file for file, tree in TREES.items() if any(map(writes, calls(tree)))}
    assert found == set(WRITES)


def test_secrets_are_compared_in_constant_time() -> None:
    """Also by their hashes: a digest that is compared byte by byte tells its first bytes."""
    found = []
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
                names = [getattr(side, "attr", getattr(side, "id", "")) for side in (node.left, *node.comparators)]
                names = [name for name in names if not name.endswith("tokens")]  # a text's, which are no secret
                if any(re.search(SECRET_NAME, name) or name in ("digest", "presented") for name in names):
                    found.append(f"{file}:{node.lineno}")
    assert found == []


def test_no_exception_is_swallowed_where_it_is_decided_who_is_let_in() -> None:
    found = set()
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and file.startswith(GUARDS):
                wide = node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
                if wide and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node)):
                    found.add(file)
    assert found == set(CATCHES)


def test_no_pattern_ends_before_the_last_line_end_of_what_it_checks() -> None:
    """In Python `$` also matches before a final line's end: `fullmatch`, or `\\Z`, takes nothing behind."""
    found = []
    for file, tree in TREES.items():
        for call in calls(tree):
            pattern = call.args[0] if call.args and getattr(call.func, "attr", "") in ("compile", "match") else None
            if isinstance(pattern, ast.Constant) and str(pattern.value).endswith(("$", "$'")) and len(call.args) == 1:
                found.append(file)
    assert found == ["deployments/cli/embed_source.py"], "which only guesses whether a word was meant as a path"


def test_no_program_is_started_through_a_shell_or_unpickles_what_came_from_outside() -> None:
    forbidden = {"system", "popen", "loads_pickle", "yaml.load", "unsafe_load"}
    built_in = {"eval", "exec"}  # methods of these names do other things
    found = []
    for file, tree in TREES.items():
        for call in calls(tree):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            shell = any(word.arg == "shell" for word in call.keywords)
            module = getattr(getattr(call.func, "value", None), "id", "")
            if (
                name in forbidden
                or getattr(call.func, "id", "") in built_in
                or shell
                or module in ("pickle", "cloudpickle", "marshal")
                or f"{module}.{name}" in forbidden
            ):
                found.append(f"{file}:{call.lineno} {name}")
    assert found == []


def test_what_holds_a_key_does_not_show_it() -> None:
    key, entry = new_key("shop", ("embed",))
    held = Held(bytes.fromhex(entry.sha256), entry)
    for shown in (repr(entry), str(entry), repr(held), f"{entry}"):
        assert key not in shown
        assert entry.sha256 not in shown
        assert "shop" in shown


@pytest.mark.parametrize("module", [file for file in TREES if "/cli/" in file])
def test_no_command_takes_a_secret_on_its_command_line(module: str) -> None:
    """Every user of the machine can read command lines: secrets come by the environment or a file."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef):
            names = [arg.arg for arg in (*node.args.args, *node.args.kwonlyargs)]
            optional = names[len(names) - len(node.args.defaults) :] if node.args.defaults else []
            secrets = [name for name in optional if re.search(SECRET_NAME, name) and not name.endswith("_file")]
            assert not secrets, node.name


def test_there_is_code_to_look_through() -> None:
    assert len(TREES) > 150
    assert all(Path(ROOT / file).is_file() for file in (*WRITES, *CATCHES))
