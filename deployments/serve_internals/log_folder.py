"""The folder of a node in which Serve keeps its logs, where log agents look for ours as well."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from deployments.serve_internals.seams import SEAMS


def log_folder() -> Path:
    """The folder for log files of our own.

    With the seam off it is ``embedserve-logs-<uid>`` in the folder for temporary files, for its owner alone.

    Raises:
        PermissionError: somebody else was there first.
    """
    if not SEAMS.on("log_folder"):
        folder = Path(tempfile.gettempdir()) / f"embedserve-logs-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            raise PermissionError(f"{folder} belongs to another user")
        folder.chmod(0o700)
        return folder
    from ray.serve._private.logging_utils import get_serve_logs_dir

    SEAMS.start("log_folder")
    return Path(get_serve_logs_dir())
