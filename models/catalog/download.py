"""Downloads that resume, and files that never look whole before they are."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import httpx2

from models.errors import SourceError

CHUNK = 1 << 20  # bytes read at once
CONNECT_TIMEOUT_S = 5.0  # a hub that a firewall swallows must not hold a start-up for long
READ_TIMEOUT_S = 60.0


class Reporter(Protocol):
    """Where downloads and builds say what they do; the CLI draws it."""

    def note(self, message: str) -> None:
        """Say one line."""

    def progress(self, label: str, done: int, total: int | None) -> None:
        """Say how far ``label`` is, in bytes or steps."""


class Silent:
    """A reporter that says nothing."""

    def note(self, message: str) -> None:
        """See ``Reporter``."""

    def progress(self, label: str, done: int, total: int | None) -> None:
        """See ``Reporter``."""


def download(url: str, target: Path, sha256: str, reporter: Reporter, headers: dict[str, str] | None = None) -> None:
    """Fetch ``url`` into ``target`` unless it is there; continue where a killed download stopped.

    Raises:
        SourceError: the server does not answer, refuses, or sends other bytes than ``sha256`` names.
    """
    if is_whole(target, sha256):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target):
        if not is_whole(target, sha256):
            _download(url, target, sha256, reporter, headers or {})


def _download(url: str, target: Path, sha256: str, reporter: Reporter, headers: dict[str, str]) -> None:
    partial = target.with_name(target.name + ".partial")
    try:
        _stream(url, partial, target.name, reporter, headers)
    except httpx2.HTTPStatusError as error:
        raise SourceError(
            f"{error.request.url.host} answered {error.response.status_code} for {target.name}"
        ) from error
    except (httpx2.HTTPError, OSError) as error:
        host = httpx2.URL(url).host
        raise SourceError(f"{host} does not answer: {error or type(error).__name__}") from error
    adopt(partial, target, sha256)


def _stream(url: str, partial: Path, label: str, reporter: Reporter, headers: dict[str, str]) -> None:
    start = partial.stat().st_size if partial.exists() else 0
    timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    ranged = {**headers, "accept-encoding": "identity", **({"range": f"bytes={start}-"} if start else {})}
    with (
        httpx2.Client(timeout=timeout, follow_redirects=True) as client,
        client.stream("GET", url, headers=ranged) as response,
    ):
        if response.status_code == 416:  # the partial file is whole already, or longer than the file: let sha256 decide
            return
        response.raise_for_status()
        done = start if response.status_code == 206 else 0
        length = response.headers.get("content-length")
        total = done + int(length) if length else None
        with partial.open("ab" if done else "wb") as file:
            for chunk in response.iter_bytes(CHUNK):
                file.write(chunk)
                done += len(chunk)
                reporter.progress(label, done, total)


def is_whole(path: Path, sha256: str) -> bool:
    """Whether a file is there with the right bytes: a copied or mended store may hold half of one."""
    return path.is_file() and _sha256(path) == sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(target: Path) -> Iterator[None]:
    """One process and thread at a time makes a file; the lock dies with its process."""
    descriptor = os.open(target.with_name(target.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def adopt(partial: Path, target: Path, sha256: str) -> None:
    """Give a finished file its name once its bytes are right; remove it where they are not.

    Raises:
        SourceError: the sha256 differs.
    """
    actual = _sha256(partial)
    if actual != sha256:
        partial.unlink()
        raise SourceError(f"{target.name} has sha256 {actual}, the catalogue says {sha256}")
    partial.replace(target)
