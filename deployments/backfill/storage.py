"""Files of sources and sinks, on this machine or wherever pyarrow's filesystems reach (``s3://``, ``gs://``, ``hdfs://``)."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import fs

from deployments.backfill.object_store import adapt, small_at_once
from deployments.backfill.uris import SCHEME, below, parted
from models.errors import JobError
from models.files import write_whole

GLOB = re.compile(r"[*?\[]")


def located(uri: str) -> tuple[fs.FileSystem, str]:
    """The filesystem of a URI or path, and the path on it.

    Raises:
        JobError: there is no such filesystem.
    """
    if not SCHEME.match(uri):
        return fs.LocalFileSystem(), str(Path(uri).expanduser().absolute())
    adapt(uri)
    try:
        filesystem, path = fs.FileSystem.from_uri(small_at_once(uri))
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise JobError(f"{uri} cannot be reached: {error}") from error
    return filesystem, path


def listed(uri: str, suffixes: frozenset[str]) -> list[fs.FileInfo]:
    """The files that a file's, folder's or glob's name means, in order; those whose name begins with ``_`` or ``.`` are left out.

    Args:
        uri: a path or URI, in which ``*``, ``?``, ``[...]`` and ``**`` may stand.
        suffixes: of the files of a folder.

    Raises:
        JobError: there is none, or it cannot be read.
    """
    base, pattern = _split(uri)
    filesystem, path = located(base)
    try:
        info = filesystem.get_file_info(path)
        if info.type == fs.FileType.File and pattern is None:
            return [info]
        found = (
            []
            if info.type != fs.FileType.Directory
            else filesystem.get_file_info(fs.FileSelector(path, recursive=True))
        )
    except OSError as error:
        raise JobError(f"{uri} cannot be read: {error}") from error
    wanted = [one for one in found if one.type == fs.FileType.File and _means(one.path, path, pattern, suffixes)]
    if not wanted:
        what = "no file matches" if pattern else "no such file or folder, or nothing to read in it"
        raise JobError(f"{uri}: {what}" + (f" (looked for {', '.join(sorted(suffixes))})" if pattern is None else ""))
    return sorted(wanted, key=lambda one: one.path)


def would_list(uri: str, name: str) -> bool:
    """Whether a file of this name would be among those of a folder or glob, if it ended as they do."""
    base, pattern = _split(uri)
    (there, folder), (here, path) = located(base), located(name)
    inside = f"{folder.rstrip('/')}/"
    return (
        there == here
        and path.startswith(inside)
        and _means(path, folder, pattern, frozenset({PurePosixPath(path).suffix}))
    )


def opened(uri: str, path: str) -> pa.NativeFile:
    """A file that ``listed`` found, for reading at any position.

    Args:
        uri: as ``listed`` was given it.
        path: of the file on its filesystem.

    Raises:
        OSError: it cannot be read.
    """
    return located(_split(uri)[0])[0].open_input_file(path)


def _split(uri: str) -> tuple[str, str | None]:
    """A glob as the folder before its first wildcard and the rest; anything else as it is."""
    place, options = parted(uri)
    parts = place.split("/")
    first = next((i for i, part in enumerate(parts) if GLOB.search(part)), None)
    if first is None:
        return uri, None
    folder = "/".join(parts[:first]) or ("/" if uri.startswith("/") else ".")
    return folder + options, "/".join(parts[first:])


def is_glob(uri: str) -> bool:
    """Whether a name means several files."""
    return GLOB.search(parted(uri)[0]) is not None


def _means(path: str, base: str, pattern: str | None, suffixes: frozenset[str]) -> bool:
    inside = PurePosixPath(path).relative_to(base)
    if any(part[0] in "._" for part in inside.parts):
        return False
    if pattern is None:
        return inside.suffix.lower() in suffixes
    return _matches(inside.parts, tuple(pattern.split("/")))


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or (bool(parts) and _matches(parts[1:], pattern))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def fingerprint(info: fs.FileInfo) -> str:
    """What changes when a file is written anew: its size and time."""
    return f"{info.size} bytes of {info.mtime_ns}"


@dataclass(frozen=True)
class Storage:
    """A folder that a job writes to. Readers see whole files or none; what is written twice is the later one."""

    uri: str

    @cached_property
    def _place(self) -> tuple[fs.FileSystem, str]:
        return located(self.uri)

    @property
    def local(self) -> Path | None:
        """The folder, if it is on this machine."""
        filesystem, path = self._place
        return Path(path) if isinstance(filesystem, fs.LocalFileSystem) else None

    def below(self, name: str) -> Storage:
        """A folder inside."""
        return Storage(below(self.uri, name))

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Write a file.

        Raises:
            JobError: the disk is full, or this user may not.
        """
        filesystem, path = self._place
        try:
            if (folder := self.local) is not None:
                folder.mkdir(parents=True, exist_ok=True)
                write_whole(folder / name, bytes(data))
                return
            with filesystem.open_output_stream(f"{path}/{name}") as file:  # there when it is closed, and whole
                file.write(data)
        except OSError as error:
            raise JobError(f"{below(self.uri, name)} cannot be written: {error.strerror or error}") from error

    def read(self, name: str) -> bytes | None:
        """A file's content; None where there is none.

        Raises:
            JobError: it cannot be read.
        """
        filesystem, path = self._place
        try:
            with filesystem.open_input_stream(f"{path}/{name}") as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise JobError(f"{below(self.uri, name)} cannot be read: {error}") from error

    def names(self, suffix: str) -> list[str]:
        """The names of its files that end so, in order.

        Raises:
            JobError: it cannot be read.
        """
        filesystem, path = self._place
        try:
            found = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
        except OSError as error:
            raise JobError(f"{self.uri} cannot be read: {error}") from error
        return sorted(
            one.base_name for one in found if one.base_name.endswith(suffix) and one.base_name[:1] not in ("", ".")
        )

    def path(self, name: str) -> tuple[fs.FileSystem, str]:
        """A file of it for pyarrow's readers."""
        filesystem, path = self._place
        return filesystem, f"{path}/{name}"
