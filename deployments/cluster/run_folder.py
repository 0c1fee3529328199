"""The private folder of one run: everything that a local Ray and HAProxy write lies in it and goes with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import signal
import stat
import string
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from deployments.cluster.processes import END_S, POLL_S, open_files, session_of
from deployments.serve_internals import haproxy_process
from deployments.serve_internals.haproxy_process import PROGRAM

PREFIX = "embedserve-"
LETTERS = string.ascii_lowercase + string.digits + "_"
NAME = re.compile(rf"{PREFIX}[{LETTERS}]{{8}}")
RAY, SESSION, TEMPORARY = "ray", "session", "tmp"
KNOWN = re.compile(
    rf"{RAY}|{SESSION}|{TEMPORARY}|{PROGRAM}|[0-9a-f]{{56}}"
)  # the last: HAProxy's files, by Ray's node id
# Unix sockets end at 107 characters. HAProxy's lies at FOLDER/<56 digits>/s and is made as <that>.<pid>.tmp.
LONGEST = 107 - len(".4194304.tmp") - len("/s") - 57
ATTEMPTS = 100


@dataclass
class RunFolder:
    """A folder that only its owner may enter. It counts as in use while whoever made it lives, unless that one released it."""

    path: Path
    lock: int | None = None  # a descriptor

    @classmethod
    def choose(cls) -> RunFolder:
        """One that is not there yet, where temporary files lie, or in /tmp where sockets in it would have names that are too long.

        Raises:
            OSError: there is no place for temporary files.
        """
        place = tempfile.gettempdir()
        name = PREFIX + "".join(secrets.choice(LETTERS) for _ in range(8))
        return cls(Path("/tmp" if len(place) + 1 + len(name) > LONGEST else place) / name)

    def make(self) -> None:
        """Make it; it is to be made by the one that removes it, so that no end of another leaves it.

        Raises:
            OSError: it cannot be made, or is there already.
        """
        for attempt in range(ATTEMPTS):
            try:
                self.path.mkdir(mode=0o700)
            except FileExistsError:
                if attempt == 0:
                    raise
                time.sleep(POLL_S)  # another start took it for one that was left, and is about to remove it
                continue
            self.lock = _lock(self.path)
            if self.lock is not None:
                return
        raise OSError(f"{self.path} does not stay")

    @property
    def ray(self) -> Path:
        """Where Ray's sessions and logs lie. Ray lets everybody into it; nobody gets past the folder around it."""
        return self.path / RAY

    @property
    def logs(self) -> Path:
        """Where Ray and Serve write what they have to say."""
        return self.ray / "session_latest" / "logs"

    @property
    def temporary(self) -> Path:
        """For temporary files of its processes."""
        return self.path / TEMPORARY

    def note_session(self, session: int) -> None:
        """Note which session its processes belong to, for ``clear_leftovers``."""
        (self.path / SESSION).write_text(str(session), encoding="ascii")

    def environment(self, *, haproxy: bool) -> dict[str, str]:
        """The variables by which Ray's processes and HAProxy write into it.

        Args:
            haproxy: whether ``haproxy_process`` runs in HAProxy's place.
        """
        self.temporary.mkdir(mode=0o700, exist_ok=True)
        variables = haproxy_process.files(self.path) | {"TMPDIR": str(self.temporary)}
        return variables | (haproxy_process.binary(self.path, os.environ) if haproxy else {})

    def release(self) -> None:
        """Leave the folder for whoever wants to read the logs; the next start clears it."""
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()


def clear_leftovers(places: Collection[Path] | None = None) -> list[Path]:
    """End the processes and remove the folders of runs that nobody watches over any more; returns the folders.

    Args:
        places: where to look; where folders are made by default.
    """
    cleared = []
    for path in _ours(places):
        lock = _lock(path)
        if lock is None:
            continue  # somebody runs in it
        folder = RunFolder(path, lock)
        _end_processes(folder)
        folder.remove()
        cleared.append(path)
    return cleared


def abandoned(places: Collection[Path] | None = None) -> list[Path]:
    """The folders that ``clear_leftovers`` would remove; nothing is touched."""
    found = []
    for path in _ours(places):
        lock = _lock(path)
        if lock is not None:
            os.close(lock)
            found.append(path)
    return found


def _ours(places: Collection[Path] | None) -> list[Path]:
    places = {Path(tempfile.gettempdir()), Path("/tmp")} if places is None else places
    return [path for place in places for path in place.glob(f"{PREFIX}*") if _is_ours(path)]


def _lock(path: Path) -> int | None:
    """Lock a folder; None when somebody else has it, or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor)):
            return descriptor
    except OSError:
        pass  # locked, or cleared in between by another start
    os.close(descriptor)
    return None


def _is_ours(path: Path) -> bool:
    """Whether a folder was made here: by its name, owner and mode, and by all that is in it."""
    try:
        about = path.lstat()
        return (
            NAME.fullmatch(path.name) is not None
            and stat.S_ISDIR(about.st_mode)
            and stat.S_IMODE(about.st_mode) == 0o700
            and about.st_uid == os.geteuid()
            and all(KNOWN.fullmatch(name) for name in os.listdir(path))
        )
    except OSError:
        return False


def _end_processes(folder: RunFolder) -> None:
    """Kill what is left of a run: processes of its session that name the folder, or have files in it open."""
    try:
        session = int((folder.path / SESSION).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return  # it ended before it started anything
    deadline = time.monotonic() + END_S
    while left := [pid for pid in _processes() if session_of(pid) == session and _uses(pid, folder.path)]:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return
        time.sleep(POLL_S)


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _uses(pid: int, path: Path) -> bool:
    process, name = Path(f"/proc/{pid}"), str(path)
    with contextlib.suppress(OSError):
        if any(name.encode() in (process / file).read_bytes() for file in ("cmdline", "environ")):
            return True
    return any(file.startswith(f"{name}/") for file in open_files(pid))
