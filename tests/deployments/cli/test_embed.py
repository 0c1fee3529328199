"""What `embedserve embed` embeds: the file that its words name, or else the words, and never a path by mistake."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from deployments.cli.embed_source import picture_suffixes, read_source
from deployments.cli.main import app
from models.errors import InputError
from models.modalities import MODALITIES
from tests.faults.hostile.pictures import encoded, scene

JPEG = encoded(scene(60, 40), "JPEG")
TEXT, IMAGE = MODALITIES["text"], MODALITIES["image"]
NAMES = ("photo.jpg", "photo.jfif", "photo.jpe", "photo.heic", "photo", "photo.of.me", "my photo", "photo.txt", "été")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("suffix", sorted(picture_suffixes()))
def test_a_picture_is_a_picture_with_every_ending_that_pictures_have(here: Path, suffix: str) -> None:
    (here / f"photo{suffix}").write_bytes(JPEG)
    assert read_source(f"photo{suffix}", None).item == JPEG
    with pytest.raises(InputError, match=r"is no file.*--text"):
        read_source(f"another{suffix}", None)


@pytest.mark.parametrize("name", NAMES)
def test_a_path_that_exists_is_a_file_whatever_its_name(here: Path, name: str) -> None:
    (here / name).write_bytes(JPEG)
    for path in (name, str(here / name)):
        source = read_source(path, None)
        assert (source.item, source.modality, source.hint) == (JPEG, "image", None)


def test_bytes_that_are_neither_picture_nor_text_go_to_the_pictures_model_which_says_what_they_are(here: Path) -> None:
    (here / "noise").write_bytes(b"\xff\xfe\x00\x80")
    assert read_source("noise", None).modality == "image"


def test_a_file_of_text_gives_its_text_and_says_so(here: Path) -> None:
    (here / "notes").write_text("héllo", encoding="utf-8-sig")
    source = read_source("notes", None)
    assert (source.item, source.modality) == ("héllo", "text")
    assert "--text" in (source.hint or "")
    words = read_source("notes", None, as_text=True)
    assert (words.item, words.hint) == ("notes", None)


@pytest.mark.parametrize(
    "words", ["~/photo", "./photo", "../a/b", "/etc/nothing", "photos/cat", "photo.xyz", "notes.md", "photos/"]
)
def test_what_looks_like_a_path_and_is_none_gets_a_hint(here: Path, words: str) -> None:
    source = read_source(words, None)
    assert source.item == words
    assert "no file" in (source.hint or "")


@pytest.mark.parametrize(
    "words",
    ["hello world", "hello", "and/or is fine", "e.g. this", "Ready. Steady. Go.", "1.5", "a\0b", "x" * 100_000, "etc."],
    ids=lambda words: words[:20],
)
def test_words_are_words_without_a_hint(here: Path, words: str) -> None:
    source = read_source(words, None)
    assert (source.item, source.modality, source.hint) == (words, "text", None)


def test_a_folder_of_that_name_is_mentioned(here: Path) -> None:
    (here / "photos").mkdir()
    source = read_source("photos", None)
    assert source.item == "photos"
    assert "folder" in (source.hint or "")


def test_a_pipe_is_read(here: Path) -> None:
    os.mkfifo(here / "pipe")
    writer = threading.Thread(target=(here / "pipe").write_bytes, args=(JPEG,))
    writer.start()
    assert read_source("pipe", None).item == JPEG
    writer.join()


def test_what_cannot_be_embedded_is_refused_with_what_would_be_right(here: Path) -> None:
    (here / "photo.jfif").write_bytes(JPEG)
    (here / "empty").touch()
    (here / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for words, wanted, as_text, says in (
            ("", None, False, "the text is empty"),
            ("", IMAGE, False, "the text is empty"),
            ("empty", None, False, "empty file"),
            ("socket", None, False, "no file"),
            ("folder", IMAGE, False, "is a folder"),
            ("a cat", IMAGE, False, "is no file"),
            ("x" * 5000, IMAGE, False, "is no file"),
            ("photo.jfif", TEXT, False, "leave --model out"),
            ("a cat", IMAGE, True, "--text"),
        ):
            with pytest.raises(InputError, match=says):
                read_source(words, wanted, as_text=as_text)


def test_a_file_that_cannot_be_read_is_named_with_the_systems_reason() -> None:
    with pytest.raises(InputError, match="cannot read /proc/self/mem: Input/output error"):
        read_source("/proc/self/mem", None)


def test_the_command_gives_one_vector_for_one_picture_under_two_names(here: Path) -> None:
    vectors = []
    for name in ("photo.jpg", "photo.jfif"):
        (here / name).write_bytes(JPEG)
        result = CliRunner().invoke(app, ["embed", name, "--output", "vector.npy"])
        assert result.exit_code == 0, result.stderr
        assert "image-embedding" in result.stderr
        vectors.append(np.load(here / "vector.npy"))
    assert vectors[0].shape == (512,)
    np.testing.assert_array_equal(*vectors)


def test_the_command_says_what_it_took_for_a_text(here: Path) -> None:
    result = CliRunner().invoke(app, ["embed", "photos/cat", "--output", "vector.npy"])
    assert result.exit_code == 0, result.stderr
    assert "there is no file 'photos/cat'" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hello", "--prompt", "query"), "no prompt 'query'; there are: none"),
        (("p.jpg", "--prompt", "x"), "is for texts"),
    ],
    ids=["that the model does not have", "before a picture"],
)
def test_a_prompt_that_cannot_stand_there_is_refused(here: Path, words: tuple[str, ...], said: str) -> None:
    (here / "p.jpg").write_bytes(JPEG)
    result = CliRunner().invoke(app, ["embed", *words])
    assert said in str(result.exception) + result.output
    assert result.exit_code != 0
