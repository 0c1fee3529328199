"""The folder of a node in which Serve keeps its logs, where log agents look for ours as well."""

from __future__ import annotations

import tempfile
from pathlib import Path

from deployments.serve_internals.seams import SEAMS


def log_folder() -> Path:
    """The folder for log files of our own.

    With the seam off it is ``embedserve-logs`` in the folder for temporary files.
    """
    if not SEAMS.on("log_folder"):
        folder = Path(tempfile.gettempdir()) / "embedserve-logs"
        folder.mkdir(exist_ok=True)
        return folder
    from ray.serve._private.logging_utils import get_serve_logs_dir

    SEAMS.start("log_folder")
    return Path(get_serve_logs_dir())
