"""Where the notes of a job are kept whose sink has no place for files: a folder of this user."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path


def private_state(name: str) -> str:
    """The folder for notes about what ``name`` names.

    Args:
        name: of a sink, without passwords; the same name is the same folder.
    """
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    words = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")[-60:]
    return str(base / "embedserve" / "backfill" / f"{words}-{hashlib.sha256(name.encode()).hexdigest()[:12]}")
