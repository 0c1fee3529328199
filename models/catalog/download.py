"""Downloads that resume, and ask again where that helps."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx2

from models.catalog.retries import Retries, retry_after_s
from models.catalog.store_fault import store_fault
from models.catalog.turns import in_turn
from models.errors import SourceError, UnreachableError
from models.file_digest import file_sha256
from models.files import partial_path, replacing
from models.http_client import outward
from models.redaction import redacted

CHUNK = 1 << 20  # bytes between two reports of progress
CONNECT_TIMEOUT_S = 5.0  # a firewall that drops packets to the hub must not delay a start for long
READ_TIMEOUT_S = 60.0
CODE = re.compile(rb"<Code>(\w+)</Code>")  # S3's reason

UNKNOWN_CALLER = frozenset({400, 401, 403})


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


def download(
    url: str | Callable[[], str],
    target: Path,
    sha256: str,
    reporter: Reporter,
    headers: dict[str, str] | None = None,
    retries: Retries | None = None,
    remedy: str = "",
) -> None:
    """Fetch ``url`` into ``target`` unless it is there; an interrupted download is continued.

    One process of the node transfers it; others that ask meanwhile wait, and get its file or its failure.

    Args:
        url: of the file, or what makes it anew for each try, where it is signed for a time.
        target: where it goes.
        sha256: of the whole file.
        reporter: hears of progress and of tries that failed.
        headers: of the request.
        retries: how often a server that is busy, or drops the line, is asked again.
        remedy: what to look at where the server does not accept who asks.

    Raises:
        SourceError: the server does not answer, refuses, or sends bytes with another sha256.
    """
    if is_whole(target, sha256):
        return
    source = url if isinstance(url, str) else url()
    with in_turn(target, redacted(source.partition("?")[0])):
        if is_whole(target, sha256):
            return
        fetch = Transfer(url, target, reporter, headers or {}, retries or Retries(), remedy)
        partial = partial_path(target)
        continued = partial.exists()
        fetch.run()
        if continued and file_sha256(partial) != sha256:  # what was there before was of another file
            partial.unlink()
            fetch.run()
        with replacing(
            target
        ):  # only after a complete download: leaving this block with an error deletes the partial file
            require_sha256(partial, target.name, sha256)


@dataclass
class Transfer:
    """The transfer of one file into its partial file, in as many tries as it takes."""

    url: str | Callable[[], str]
    target: Path
    reporter: Reporter
    headers: dict[str, str]
    retries: Retries
    remedy: str
    reason: re.Match[bytes] | None = None  # in the answer that refused it

    def run(self) -> None:
        """Transfer it.

        Raises:
            SourceError: the last try failed.
            StoreError: the file system refuses.
        """
        while True:
            url = self.url if isinstance(self.url, str) else self.url()
            try:
                self._stream(url)
            except (httpx2.HTTPError, OSError) as error:
                if isinstance(error, OSError) and (fault := store_fault(error, self.target.parent)):
                    raise fault from error
                wait_s = self.retries.wait_s(error, _size(partial_path(self.target)))
                failure = self._failure(error, url)
                if wait_s is None:
                    raise failure from error
                self.reporter.note(f"{failure}; trying again in {wait_s:.1f} s")
                time.sleep(wait_s)
            else:
                return

    def _stream(self, url: str) -> None:
        partial, label = partial_path(self.target), self.target.name
        start = _size(partial)
        timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        ranged = {**self.headers, "accept-encoding": "identity", **({"range": f"bytes={start}-"} if start else {})}
        with (
            outward(timeout=timeout, follow_redirects=True) as client,
            client.stream("GET", url, headers=ranged) as response,
        ):
            if start and response.status_code == 416:  # it has all bytes, or too many: the sha256 will tell
                return
            self.reason = CODE.search(next(response.iter_bytes(4096), b"")) if response.is_error else None
            response.raise_for_status()
            done = start if _continues(response, start) else 0
            length = response.headers.get("content-length")
            total = done + int(length) if length else None
            with partial.open("ab" if done else "wb") as file:
                told = done
                for chunk in response.iter_bytes():  # as they come: nothing that arrived is lost when the line breaks
                    file.write(chunk)
                    done += len(chunk)
                    if done - told >= CHUNK or done == total:
                        self.reporter.progress(label, told := done, total)

    def _failure(self, error: Exception, url: str) -> SourceError:
        if not isinstance(error, httpx2.HTTPStatusError):
            return UnreachableError(
                f"{httpx2.URL(url).host} does not answer: {redacted(str(error)) or type(error).__name__}"
            )
        response, asked = error.response, retry_after_s(error.response)
        said = f" ({self.reason[1].decode()})" if self.reason else ""
        later = f", and asks to come back in {asked:.0f} s" if asked else ""
        remedy = f"; {self.remedy}" if self.remedy and response.status_code in UNKNOWN_CALLER else ""
        host = error.request.url.host
        return SourceError(f"{host} answered {response.status_code}{said} for {self.target.name}{later}{remedy}")


def _continues(response: httpx2.Response, start: int) -> bool:
    """Whether an answer holds what comes behind ``start``; not every server says 206."""
    place = response.headers.get("content-range")
    return response.status_code == 206 if place is None else str(place).startswith(f"bytes {start}-")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def is_whole(path: Path, sha256: str) -> bool:
    """Whether a file exists and has this sha256; a store that was copied by hand may hold half a file."""
    return path.is_file() and file_sha256(path) == sha256


def require_sha256(path: Path, name: str, sha256: str) -> None:
    """Refuse a file that does not have the sha256 of the catalogue.

    Raises:
        SourceError: the sha256 differs.
    """
    actual = file_sha256(path)
    if actual != sha256:
        raise SourceError(f"{name} has sha256 {actual}, the catalogue says {sha256}")
