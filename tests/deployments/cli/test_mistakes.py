"""A mistake in a command's arguments, or in a file that they name, is an error of ours with one message: never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deployments.cli.main import app
from models.errors import EmbedserveError
from tests.data import tiny

NOWHERE = "http://127.0.0.1:1"
FILES = {
    "utf16": "a\nb\n".encode("utf-16"),
    "binary": bytes(range(256)),
    "empty": b"",
    "list": b"[1]",
    "x.onnx": b"no graph",
}
FOLDERS = {
    "no JSON": {"config.json": "{", "tokenizer.json": "{"},
    "a list": {"config.json": "[]", "tokenizer.json": "{}"},
    "no sizes": {"config.json": '{"model_type": "bert"}', "tokenizer.json": "{}"},
    "no modules": {"config.json": '{"model_type": "bert"}', "tokenizer.json": "{}", "modules.json": "{}"},
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    for name, texts in FOLDERS.items():
        tiny.write(tmp_path / name)
        for file, text in texts.items():
            (tmp_path / name / file).write_text(text)
    tiny.write(tmp_path / "relu")
    config = json.loads((tmp_path / "relu" / "config.json").read_text())
    (tmp_path / "relu" / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    return tmp_path


MISTAKES: list[list[str]] = [
    *(["up", "--port", "1", "--config", name] for name in (*FILES, "relu", "nowhere", "a\0b", "x" * 300)),
    *(
        ["keys", command, "--file", name]
        for command in ("list",)
        for name in ("utf16", "binary", "list", "relu", "a\0b")
    ),
    *(["keys", "create", "n", "--scope", "embed", "--file", name] for name in ("utf16", "binary", "list", "relu")),
    *(["keys", "revoke", "n", "--file", name] for name in ("utf16", "empty", "relu", "nowhere")),
    *(["models", "add", "m@1", "--from", name] for name in (*FILES, *FOLDERS, "relu")),
    *(["models", "quantize", name, "out.onnx"] for name in ("x.onnx", "empty", "relu")),
    ["models", "add", "m", "--from", "relu"],
    ["models", "add", "m@1", "--from", "relu", "--precision", "fp99"],
    *(["models", command, "nothing"] for command in ("pull", "verify", "build")),
    *(["embed", "hi", "--model", name] for name in ("nothing", "@", "text-embedding@9", "text-embedding@")),
    *(
        ["status", "--url", url]
        for url in ("nonsense", "http://[bad", "ftp://x", "http://127.0.0.1:99999", "", NOWHERE)
    ),
    *(["up", "--address", url] for url in ("nonsense", "http://[bad", "http://127.0.0.1:99999", "http://", NOWHERE)),
    *(["rollback", "m", "--dashboard", url] for url in ("nonsense", "http://[bad", "::", "", NOWHERE)),
    *(["up", "--beside", "--port", port] for port in ("99999", "-1", "0")),
]


@pytest.mark.parametrize("words", MISTAKES, ids=lambda words: " ".join(words)[:60].replace("\0", "NUL"))
def test_a_mistake_is_told_without_a_traceback(here: Path, words: list[str]) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code != 0, result.stdout
    if isinstance(result.exception, OSError):
        assert result.exception.filename, result.exception  # `main` names it in one line
    else:
        assert isinstance(result.exception, EmbedserveError | SystemExit), repr(result.exception)
