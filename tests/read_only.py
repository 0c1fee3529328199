"""Programs that see folders, or the whole root file system, read-only, as containers do: in mount namespaces, without an engine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

# The folders that stay writable become mounts of their own before the root is closed.
SCRIPT = """
set -e
while [ "$1" != -- ]; do mount --bind "$1" "$1"; shift; done; shift
while [ "$1" != -- ]; do mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; shift; done; shift
if [ "$1" = root ]; then mount -o remount,ro,bind /; fi; shift
exec "$@"
"""


def read_only(*folders: Path, root: bool = False, writable: tuple[Path, ...] = ()) -> list[str]:
    """The begin of a command line whose program may not write to these folders.

    Args:
        folders: what is mounted read-only.
        root: whether everything else on the root file system is too.
        writable: folders on it that are not.
    """
    places = [*map(str, writable), "--", *map(str, folders), "--", "root" if root else "all"]
    return ["sh", "-c", SCRIPT, "sh", *places]


def require_mounts() -> list[str]:
    """What begins a command in a mount namespace; the test is skipped, and says why, where there are none."""
    begin = ["unshare", "--mount"]
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("read-only mounts need root and unshare; nothing here was checked")
    tried = subprocess.run([*begin, *read_only(Path("/usr")), "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no mounts in a namespace here, nothing was checked: {tried.stderr.strip()}")
    return begin
