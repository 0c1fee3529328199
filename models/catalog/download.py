"""Downloads that resume."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

import httpx2

from models.catalog.store_fault import store_fault
from models.errors import SourceError, UnreachableError
from models.files import locked, partial_path, replacing
from models.http_client import outward

CHUNK = 1 << 20  # bytes read at once
CONNECT_TIMEOUT_S = 5.0  # a firewall that drops packets to the hub must not delay a start for long
READ_TIMEOUT_S = 60.0


class Reporter(Protocol):
    """Receives the progress of downloads and builds; the command line shows it."""

    def note(self, message: str) -> None:
        """Report one line of text."""

    def progress(self, label: str, done: int, total: int | None) -> None:
        """Report how far ``label`` is, in bytes or steps."""


class Silent:
    """A reporter that says nothing."""

    def note(self, message: str) -> None:
        """See ``Reporter``."""

    def progress(self, label: str, done: int, total: int | None) -> None:
        """See ``Reporter``."""


def download(url: str, target: Path, sha256: str, reporter: Reporter, headers: dict[str, str] | None = None) -> None:
    """Fetch ``url`` into ``target`` unless it is there; an interrupted download is continued.

    Raises:
        SourceError: the server does not answer, refuses, or sends bytes with another sha256.
    """
    if is_whole(target, sha256):
        return
    with locked(target):
        if not is_whole(target, sha256):
            _download(url, target, sha256, reporter, headers or {})


def _download(url: str, target: Path, sha256: str, reporter: Reporter, headers: dict[str, str]) -> None:
    try:
        _stream(url, partial_path(target), target.name, reporter, headers)
    except httpx2.HTTPStatusError as error:
        raise SourceError(
            f"{error.request.url.host} answered {error.response.status_code} for {target.name}"
        ) from error
    except (httpx2.HTTPError, OSError) as error:
        if isinstance(error, OSError) and (fault := store_fault(error, target.parent)):
            raise fault from error
        host = httpx2.URL(url).host
        raise UnreachableError(f"{host} does not answer: {error or type(error).__name__}") from error
    with replacing(
        target
    ) as partial:  # only after a complete download, because leaving this block deletes the partial file on failure
        require_sha256(partial, target.name, sha256)


def _stream(url: str, partial: Path, label: str, reporter: Reporter, headers: dict[str, str]) -> None:
    start = partial.stat().st_size if partial.exists() else 0
    timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    ranged = {**headers, "accept-encoding": "identity", **({"range": f"bytes={start}-"} if start else {})}
    with (
        outward(timeout=timeout, follow_redirects=True) as client,
        client.stream("GET", url, headers=ranged) as response,
    ):
        if response.status_code == 416:  # the partial file has all bytes, or too many: the sha256 will tell
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
    """Whether a file exists and has this sha256; a store that was copied by hand may hold half a file."""
    return path.is_file() and _sha256(path) == sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_sha256(path: Path, name: str, sha256: str) -> None:
    """Refuse a file that does not have the sha256 of the catalogue.

    Raises:
        SourceError: the sha256 differs.
    """
    actual = _sha256(path)
    if actual != sha256:
        raise SourceError(f"{name} has sha256 {actual}, the catalogue says {sha256}")
