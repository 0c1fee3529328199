"""Virtual environments for the systems that ours is compared with: pinned versions, made once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path


def environment(folder: Path, requirements: Path) -> Path:
    """Make a virtual environment, unless one with exactly these requirements is there.

    Args:
        folder: where.
        requirements: everything that is installed, dependencies included: nothing else comes along.

    Returns:
        Its ``bin`` folder.

    Raises:
        CalledProcessError: it could not be made; pip has printed why.
    """
    stamp = folder / ".requirements"
    if not stamp.is_file() or stamp.read_bytes() != requirements.read_bytes():
        print(f"setting up {folder.name} (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(requirements)]
        subprocess.run(install, check=True)
        shutil.copyfile(requirements, stamp)
    return folder / "bin"
